"""The topics at the brokers: created by the table in `gantry.common.events.topics`, checked if they exist."""

from __future__ import annotations

from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import InvalidReplicationFactorError, TopicAlreadyExistsError, for_code

from gantry.common.adapters.kafka.connection import KafkaCluster
from gantry.common.clock import SystemClock
from gantry.common.errors import ConfigError
from gantry.common.events.topics import TOPICS, Topic
from gantry.common.telemetry.logs import get_logger

logger = get_logger("kafka")
_FOR_EVER = str((1 << 63) - 1)
_TIME = SystemClock()
_LOOKS, _LOOK_AGAIN_SECONDS = 20, 0.1


def configuration(cluster: KafkaCluster) -> dict[str, str]:
    """The configuration of our topics. Brokers remove nothing by age: `retention` does, since it knows which groups
    have read a record. Records carry our time, whatever the brokers' clocks say."""
    return {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "min.insync.replicas": str(cluster.min_insync),
        "unclean.leader.election.enable": "false",
        "message.timestamp.type": "CreateTime",
        "message.timestamp.after.max.ms": _FOR_EVER,
        "max.message.bytes": str(max(1 << 20, cluster.max_event + (128 << 10))),
    }


def table() -> list[Topic]:
    """Each topic once."""
    return sorted({topic.name: topic for topic in TOPICS.values()}.values(), key=lambda topic: topic.name)


async def ensure_topics(admin: AIOKafkaAdminClient, cluster: KafkaCluster) -> None:
    """Create missing topics; log a warning if an existing one differs from the table.

    Raises `ConfigError` if the cluster has too few brokers for the configured replication, and passes on aiokafka's
    errors if it is unavailable.
    """
    missing = {cluster.topic(topic.name): topic for topic in table()}
    known = await admin.describe_topics(list(missing))
    for description in known:
        if description["error_code"] == 0:
            _compare(cluster, missing.pop(description["topic"]), len(description["partitions"]))
    present = {cluster.topic(topic.name) for topic in table()} - missing.keys()
    if missing:
        await _make(admin, cluster, missing)
        await _until_usable(admin, list(missing))
    if present:
        await _check(admin, cluster, sorted(present))


def _compare(cluster: KafkaCluster, topic: Topic, partitions: int) -> None:
    if partitions != topic.partitions:
        # Never changed here: a key would move to another partition, and its events would lose their order.
        logger.warning("topic differs", topic=topic.name, partitions=partitions, expected=topic.partitions)


async def _make(admin: AIOKafkaAdminClient, cluster: KafkaCluster, missing: dict[str, Topic]) -> None:
    settings = configuration(cluster)
    made = [
        NewTopic(name, topic.partitions, cluster.replication, topic_configs=settings) for name, topic in missing.items()
    ]
    answer = await admin.create_topics(made)
    for name, code, *rest in answer.topic_errors:
        error = for_code(code)
        if code == 0:
            logger.info("topic made", topic=cluster.own_name(name), replication=cluster.replication)
        elif error is InvalidReplicationFactorError:
            raise ConfigError(
                "kafka.replication", None, f"{cluster.replication} replicas need as many brokers: {rest[0]}"
            )
        elif error is not TopicAlreadyExistsError:  # another process was first
            raise error(*rest[:1])


async def _until_usable(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    """Return once a broker knows new topics and their leaders, or after a while: that is a moment after their creation
    is reported."""
    for _ in range(_LOOKS):
        descriptions = await admin.describe_topics(names)
        if all(
            not description["error_code"] and all(p["leader"] >= 0 for p in description["partitions"])
            for description in descriptions
        ):
            return
        await _TIME.sleep(_LOOK_AGAIN_SECONDS)


async def _check(admin: AIOKafkaAdminClient, cluster: KafkaCluster, names: list[str]) -> None:
    expected = configuration(cluster)
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    for answer in answers:
        for resource in answer.resources:
            differing = _differing(resource, expected)
            if differing:
                logger.warning("topic differs", topic=cluster.own_name(resource[3]), settings=differing)


def _differing(resource: Any, expected: dict[str, str]) -> dict[str, str]:
    _, _, _, _, entries = resource[:5]
    return {entry[0]: entry[1] for entry in entries if entry[0] in expected and entry[1] != expected[entry[0]]}
