#!/bin/sh
# A Docker engine for the integration tests: takes the one that answers; as root on Debian, installs and starts one.
# Exit code 0 where an engine answers afterwards. GANTRY_ENGINE_PID_FILE gets the pid of a daemon that was started here.
set -u
command -v docker >/dev/null 2>&1 && docker info >/dev/null 2>&1 && exit 0
if ! command -v dockerd >/dev/null 2>&1; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "engine: no Docker engine answers; Kafka, OpenSearch and S3 run as plain processes"
        exit 1
    fi
    echo "engine: installing docker.io"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -qq --no-install-recommends docker.io iptables >/dev/null || exit 1
fi
[ "$(id -u)" = 0 ] || { echo "engine: the Docker engine does not answer, and only root may start it"; exit 1; }
echo "engine: starting dockerd"
rm -f /var/run/docker.pid # a daemon that was killed leaves it behind
log="${TMPDIR:-/tmp}/gantry-dockerd.log"
setsid dockerd >"$log" 2>&1 </dev/null &
[ -n "${GANTRY_ENGINE_PID_FILE:-}" ] && echo $! >"$GANTRY_ENGINE_PID_FILE"
for _ in $(seq 60); do
    docker info >/dev/null 2>&1 && exit 0
    sleep 0.5
done
echo "engine: dockerd did not start; its log is $log"
exit 1
