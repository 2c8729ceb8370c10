#!/usr/bin/env bash
# Installs what the integration tests need and this machine lacks, from the distribution's packages: a C compiler for the race
# detector, Java and Maven for Kafka, a mail server, a syslog server, and the gateways: NGINX, HAProxy, Caddy, Envoy. Does nothing
# when all are there.
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A package=(
  [gcc]=gcc [java]=openjdk-17-jre-headless [mvn]=maven [exim4]=exim4-daemon-light
  [rsyslogd]=rsyslog [nginx]=nginx-light [haproxy]=haproxy [caddy]=caddy [nft]=nftables [ip]=iproute2 [python3]=python3 [openssl]=openssl [keytool]=openjdk-17-jre-headless
)
export PATH="$PATH:/usr/sbin:/sbin"
missing=()
for tool in "${!package[@]}"; do
  command -v "$tool" >/dev/null || missing+=("${package[$tool]}")
done
# rsyslog's TLS driver is a package of its own, without a program.
ls /usr/lib/*/rsyslog/lmnsd_gtls.so >/dev/null 2>&1 || missing+=(rsyslog-gnutls)
python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
if [ ${#missing[@]} = 0 ]; then
  .ci/envoy.sh >/dev/null
  echo "everything is installed"
  exit 0
fi
echo "installing: ${missing[*]}"
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "cannot install: this needs root and apt-get; install ${missing[*]} by hand and run again" >&2
  exit 1
fi
# The packages must not start servers of their own: the tests start theirs, on loopback, and stop them.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod +x $policy
  trap 'rm -f $policy' EXIT
fi
apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
.ci/envoy.sh >/dev/null
