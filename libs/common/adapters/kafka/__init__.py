"""The event log on Kafka, through aiokafka.

`connection` holds the brokers' addresses and translates their errors, `topics` creates and checks the topics,
`producer` appends, `consumer` is a group member, `reading` reads outside any group (lag, replay), `retention` removes
events that every group has read, `claims` stores oversize events in the object store, `log` combines these.
"""

from gantry.common.adapters.kafka.connection import KafkaCluster
from gantry.common.adapters.kafka.log import KafkaLog, open_kafka_log

__all__ = ["KafkaCluster", "KafkaLog", "open_kafka_log"]
