#!/usr/bin/env bash
# Starts the real neighbours on loopback (Apache Kafka, Exim, rsyslog), runs the integration tests against them and
# stops them. Arguments are the packages to test, ./... by default; GOFLAGS takes flags such as -race.
# The gateways (NGINX, Caddy, HAProxy, Envoy) are started by their tests; WARDER_ENVOY may name the Envoy program.
# A neighbour whose address is in the environment is used instead of starting one:
#   WARDER_KAFKA        host:port[,host:port]
#   WARDER_SMTP         host:port with STARTTLS, and WARDER_SMTPS, host:port with TLS from the first byte; they must take mail for
#                       WARDER_SMTP_TO from WARDER_SMTP_FROM (warder@example.com, soc@example.com) after a login as
#                       WARDER_SMTP_USER with WARDER_SMTP_PASSWORD (warder, secret). Where the mail lands is looked at
#                       when WARDER_SMTP_MAILDIR names the maildir
#   WARDER_SYSLOG_TCP   host:port, and WARDER_SYSLOG_UDP, WARDER_SYSLOG_TLS; WARDER_SYSLOG_FILE is the file it writes, in the
#                       form of .ci/rsyslog.conf
#   WARDER_TEST_CA      PEM file with the authorities of these, added to the one made here
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"
work=$(mktemp -d)
chmod 755 "$work" # the mail server runs as a user of its own
groups=() # process groups of the servers: each leads its own, so that its children end with it
ports=()

stop() {
  local group
  for group in "${groups[@]}"; do kill -- "-$group" 2>/dev/null || true; done
  [ ! -d "$work/kafka" ] || .ci/kafka.sh stop "$work/kafka" || true
  for group in "${groups[@]}"; do
    for _ in $(seq 100); do
      kill -0 -- "-$group" 2>/dev/null || continue 2
      sleep 0.1
    done
    echo "a server did not stop within 10 s and is killed: process group $group" >&2
    kill -9 -- "-$group" 2>/dev/null || true
  done
  rm -rf "$work"
}
trap stop EXIT

# free_port VARIABLE sets it to a port that nobody uses and that was not given out before. It is below the range from which
# the system takes the ports of clients, so that none of them comes in between.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    [[ " ${ports[*]} " != *" $port "* ]] || continue
    grep -qsi "$(printf ':%04x ' "$port")" /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 || break
  done
  ports+=("$port")
  printf -v "$1" '%s' "$port"
}

# start NAME PORT LOG COMMAND… runs a server in the background and waits until it listens.
start() {
  local name=$1 port=$2 log=$3 pid
  shift 3
  setsid "$@" >"$log" 2>&1 &
  pid=$!
  groups+=("$pid")
  for _ in $(seq 100); do
    kill -0 "$pid" 2>/dev/null || break
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
    sleep 0.1
  done
  echo "$name did not start; its log:" >&2
  cat "$log" >&2
  exit 1
}

certificate() {
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" \
    -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
  chmod 644 "$work/key.pem"
  cat "$work/cert.pem" ${WARDER_TEST_CA:+"$WARDER_TEST_CA"} >"$work/ca.pem"
  export WARDER_TEST_CA=$work/ca.pem
}

start_mail() {
  local smtp smtps dir=$work/exim
  [ "$(id -u)" = 0 ] || { echo "the mail server must be started by root; or set WARDER_SMTP and WARDER_SMTPS to one that runs" >&2; exit 1; }
  free_port smtp
  free_port smtps
  mkdir -p "$dir/spool" "$dir/mail"
  sed -e "s|@DIR@|$dir|g; s|@CERTS@|$work|g; s|@SMTP@|$smtp|g; s|@SMTPS@|$smtps|g" .ci/exim.conf >"$dir/exim.conf"
  chown -R Debian-exim "$dir"
  start "the mail server" "$smtp" "$dir/log" setpriv --reuid Debian-exim --regid Debian-exim --clear-groups exim4 -C "$dir/exim.conf" -bdf
  export WARDER_SMTP=127.0.0.1:$smtp WARDER_SMTPS=127.0.0.1:$smtps WARDER_SMTP_MAILDIR=$dir/mail
}

start_syslog() {
  local udp tcp tls dir=$work/rsyslog
  free_port udp
  free_port tcp
  free_port tls
  mkdir -p "$dir"
  sed -e "s|@DIR@|$dir|g; s|@CERTS@|$work|g; s|@UDP@|$udp|g; s|@TCP@|$tcp|g; s|@TLS@|$tls|g" .ci/rsyslog.conf >"$dir/rsyslog.conf"
  # The TLS port is that of the input that starts last.
  start "the syslog server" "$tls" "$dir/log" rsyslogd -n -f "$dir/rsyslog.conf" -i "$dir/pid"
  export WARDER_SYSLOG_UDP=127.0.0.1:$udp WARDER_SYSLOG_TCP=127.0.0.1:$tcp WARDER_SYSLOG_TLS=127.0.0.1:$tls WARDER_SYSLOG_FILE=$dir/messages
}

certificate
[ -n "${WARDER_KAFKA:-}" ] || eval "$(.ci/kafka.sh start "$work/kafka")"
[ -n "${WARDER_SMTP:-}" ] || start_mail
[ -n "${WARDER_SYSLOG_TCP:-}" ] || start_syslog
[ -n "${WARDER_ENVOY:-}" ] || WARDER_ENVOY=$(.ci/envoy.sh)
export WARDER_ENVOY
echo "kafka $WARDER_KAFKA, mail $WARDER_SMTP, syslog $WARDER_SYSLOG_TCP"

[ $# -gt 0 ] || set -- ./...
go test -count=1 -v -tags integration -run Integration "$@" | grep -vE 'no test files|\[no tests to run\]|^(PASS|=== )'
