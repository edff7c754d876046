"""The event log on Kafka, through aiokafka.

`connection` holds where the brokers are and turns their errors into ours, `topics` makes and checks the topics,
`producer` appends, `consumer` is a group member, `reading` answers what belongs to no group (lag, replay), `retention`
removes what everybody has read, `claims` keeps oversize events in the object store, `log` puts these together.
"""

from gantry.common.adapters.kafka.connection import KafkaCluster
from gantry.common.adapters.kafka.log import KafkaLog, open_kafka_log

__all__ = ["KafkaCluster", "KafkaLog", "open_kafka_log"]
