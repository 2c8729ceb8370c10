#!/bin/sh
# Runs a real Apache Kafka (KRaft, one node, loopback) for the integration tests, from its jars on Maven Central.
#
#   .ci/kafka.sh start DIR [PORT]   PORT: plaintext; PORT+1: SASL (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512); PORT+2: TLS;
#                                       PORT+3: the controller. Default: four free ones.
#                                       Prints the variables for the tests: eval "$(.ci/kafka.sh start DIR)"
#   .ci/kafka.sh env DIR            prints them again
#   .ci/kafka.sh stop DIR
#
# DIR gets data, configuration, log and PID; start begins with fresh data. The jars are cached outside the repository, in
# ${XDG_CACHE_HOME:-$HOME/.cache}/warder/kafka. Needs Java 17 and mvn; as root on Debian it installs them when they are missing.
set -eu

version=4.1.1
slf4j=1.7.36
cache="${XDG_CACHE_HOME:-$HOME/.cache}/warder/kafka/$version"
user=warder
password=warder-secret # of a broker that lives for one test run on loopback

die() {
	echo "kafka.sh: $*" >&2
	exit 1
}

need_java() {
	if command -v java >/dev/null && command -v keytool >/dev/null && command -v mvn >/dev/null; then
		return
	fi
	[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
		die "needs java 17 or newer, keytool and mvn: install a JRE and Maven"
	echo "kafka.sh: installing a JRE and Maven" >&2
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq default-jre-headless maven >/dev/null ||
		die "apt-get could not install default-jre-headless and maven"
}

fetch_jars() {
	[ -e "$cache/complete" ] && return
	echo "kafka.sh: fetching Apache Kafka $version into $cache" >&2
	mkdir -p "$cache"
	cat >"$cache/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>warder</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>$slf4j</version></dependency>
  </dependencies>
</project>
POM
	mvn -q -B --no-transfer-progress -f "$cache/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$cache/lib" >&2 ||
		die "mvn could not fetch Apache Kafka $version: check the network and the Maven settings"
	touch "$cache/complete"
}

# make_certificates writes an authority, a server keystore for localhost, and another authority that signed nothing.
# The body is a subshell, so that its variables are its own.
make_certificates() (
	dir=$1
	mkdir -p "$dir"
	authority() {
		keytool -genkeypair -alias "$1" -keyalg EC -dname "CN=$1" -ext bc:c=ca:true -validity 30 \
			-keystore "$dir/$1.p12" -storetype PKCS12 -storepass "$password" 2>/dev/null
		keytool -exportcert -rfc -alias "$1" -keystore "$dir/$1.p12" -storepass "$password" >"$dir/$1.pem" 2>/dev/null
	}
	authority ca
	authority other-ca
	server="-keystore $dir/server.p12 -storetype PKCS12 -storepass $password"
	# shellcheck disable=SC2086
	{
		keytool -genkeypair -alias server -keyalg EC -dname CN=localhost -validity 30 $server
		keytool -certreq -alias server $server |
			keytool -gencert -alias ca -ext san=dns:localhost,ip:127.0.0.1 -validity 30 -rfc \
				-keystore "$dir/ca.p12" -storepass "$password" >"$dir/server.pem"
		keytool -importcert -noprompt -alias ca -file "$dir/ca.pem" $server
		keytool -importcert -noprompt -alias server -file "$dir/server.pem" $server
	} 2>/dev/null
	[ -s "$dir/server.pem" ] || die "keytool could not make the certificates in $dir"
)

write_config() {
	dir=$1 port=$2
	cat >"$dir/server.properties" <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 3))
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$port,SASL_PLAINTEXT://127.0.0.1:$((port + 1)),SSL://127.0.0.1:$((port + 2)),CONTROLLER://127.0.0.1:$((port + 3))
advertised.listeners=PLAINTEXT://127.0.0.1:$port,SASL_PLAINTEXT://127.0.0.1:$((port + 1)),SSL://127.0.0.1:$((port + 2))
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_$user="$password";
listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.location=$dir/tls/server.p12
ssl.keystore.type=PKCS12
ssl.keystore.password=$password
ssl.key.password=$password
log.dirs=$dir/data
num.partitions=1
auto.create.topics.enable=true
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.backoff.ms=200
CONF
}

alive() { kill -0 "$1" 2>/dev/null; }

print_env() {
	dir=$1
	port=$(cat "$dir/port")
	cat <<ENV
export WARDER_KAFKA=127.0.0.1:$port
export WARDER_KAFKA_SASL=127.0.0.1:$((port + 1))
export WARDER_KAFKA_USER=$user
export WARDER_KAFKA_PASSWORD=$password
export WARDER_KAFKA_TLS=127.0.0.1:$((port + 2))
export WARDER_KAFKA_CA=$dir/tls/ca.pem
export WARDER_KAFKA_OTHER_CA=$dir/tls/other-ca.pem
ENV
}

start() {
	mkdir -p "$1"
	dir=$(cd "$1" && pwd)
	if [ -e "$dir/pid" ] && alive "$(cat "$dir/pid")"; then
		die "already runs in $dir with PID $(cat "$dir/pid"): stop it first"
	fi
	need_java
	fetch_jars
	port=${2:-$(free_ports)}
	rm -rf "$dir/data" "$dir/tls" "$dir/pid"
	make_certificates "$dir/tls"
	write_config "$dir" "$port"
	class_path="$cache/lib/*"
	quiet="-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
	id=$(java $quiet -cp "$class_path" kafka.tools.StorageTool random-uuid 2>/dev/null)
	java $quiet -cp "$class_path" kafka.tools.StorageTool format --cluster-id "$id" --config "$dir/server.properties" \
		--add-scram "SCRAM-SHA-256=[name=$user,password=$password]" \
		--add-scram "SCRAM-SHA-512=[name=$user,password=$password]" >"$dir/format.log" 2>&1 ||
		die "could not format the storage: $(tail -n 3 "$dir/format.log")"
	nohup java -Xms256m -Xmx512m -XX:+UseSerialGC $quiet -cp "$class_path" kafka.Kafka "$dir/server.properties" \
		>"$dir/kafka.log" 2>&1 </dev/null &
	pid=$!
	echo "$pid" >"$dir/pid"
	echo "$port" >"$dir/port"
	tries=0
	until is_ready "$port" && is_ready "$((port + 1))" && is_ready "$((port + 2))"; do
		alive "$pid" || die "Kafka ended at once: $(tail -n 5 "$dir/kafka.log")"
		tries=$((tries + 1))
		if [ "$tries" -gt 240 ]; then
			kill "$pid"
			die "Kafka was not ready after 60 seconds: see $dir/kafka.log"
		fi
		sleep 0.25
	done
	print_env "$dir"
}

# free_ports prints the first of four successive ports that nothing listens on.
free_ports() {
	p=$((20000 + $$ % 10000))
	while is_ready "$p" || is_ready "$((p + 1))" || is_ready "$((p + 2))" || is_ready "$((p + 3))"; do
		p=$((p + 4))
	done
	echo "$p"
}

# is_ready tells whether something listens on the port. bash has /dev/tcp; sh may not.
is_ready() { bash -c "exec 3<>/dev/tcp/127.0.0.1/$1" 2>/dev/null; }

stop() {
	[ -e "$1/pid" ] || die "no PID in $1"
	pid=$(cat "$1/pid")
	tries=0
	kill "$pid" 2>/dev/null || true
	while alive "$pid"; do
		tries=$((tries + 1))
		[ "$tries" -gt 60 ] && kill -9 "$pid" 2>/dev/null
		sleep 0.25
	done
	rm -f "$1/pid"
}

case "${1:-} $#" in
"start 2" | "start 3") start "$2" "${3:-}" ;;
"stop 2") stop "$2" ;;
"env 2") print_env "$(cd "$2" && pwd)" ;;
*) sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
