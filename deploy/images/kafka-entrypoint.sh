# One KRaft broker. Takes the environment of the public image: KAFKA_A_B sets a.b, where __ stands for _ and ___ for -.
set -eu
config=/tmp/server.properties
: >"$config"
while IFS='=' read -r name value; do
    case "$name" in KAFKA_HEAP_OPTS | KAFKA_OPTS) continue ;; esac
    key="${name#KAFKA_}"
    key="$(printf '%s' "$key" | sed -e 's/___/\x01/g' -e 's/__/\x02/g' -e 's/_/./g' -e 's/\x01/-/g' -e 's/\x02/_/g' | tr '[:upper:]' '[:lower:]')"
    printf '%s=%s\n' "$key" "$value" >>"$config"
done < <(env | grep '^KAFKA_')
setting() { grep -q "^$1=" "$config" || printf '%s=%s\n' "$1" "$2" >>"$config"; }
setting process.roles broker,controller
setting node.id 1
setting controller.listener.names CONTROLLER
setting listeners PLAINTEXT://:9092,CONTROLLER://:9093
setting advertised.listeners PLAINTEXT://localhost:9092
setting listener.security.protocol.map CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
setting controller.quorum.voters 1@localhost:9093
setting log.dirs /var/lib/kafka/data
java="/opt/java/bin/java"
"$java" -cp '/opt/kafka/libs/*' kafka.tools.StorageTool format --ignore-formatted -t "${CLUSTER_ID:-5L6g3nShT-eMCtK--X86sw}" -c "$config" >/dev/null
# shellcheck disable=SC2086
exec "$java" ${KAFKA_HEAP_OPTS:--Xmx512m} -cp '/opt/kafka/libs/*' kafka.Kafka "$config"
