"""The brokers' addresses and settings, and what their errors mean to a caller of the event log."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from gantry.common.config.secret_files import Secret, text_of
from gantry.common.errors import DependencyUnavailable

DEPENDENCY = "event log"

Sasl = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@dataclass(frozen=True, slots=True)
class KafkaCluster:
    """One installation's share of a Kafka cluster.

    Topics and groups are named `prefix.NAME`. `replication` and `min_insync` apply to topics that we create: an append
    is acknowledged when `min_insync` replicas have it. `deadline` (seconds) bounds each of our calls. An event of more
    than `max_event` bytes goes to the object store. `instance_id` makes group members static (KIP-345): a restart
    within the session timeout moves no partition; each process needs its own.
    """

    bootstrap: tuple[str, ...]
    prefix: str = "gantry"
    replication: int = 3
    min_insync: int = 2
    deadline: float = 10.0
    max_event: int = 900 << 10
    compression: str | None = None
    session_timeout: float = 10.0
    max_poll_interval: float = 300.0
    instance_id: str | None = None
    tls: ssl.SSLContext | None = None
    sasl: Sasl | None = None
    username: str | None = None
    password: Secret | None = field(default=None, repr=False)

    def topic(self, name: str) -> str:
        """The topic's name at the brokers."""
        return f"{self.prefix}.{name}"

    def own_name(self, topic: str) -> str:
        """Our name of a topic of the brokers."""
        return topic.removeprefix(f"{self.prefix}.")

    def client_options(self) -> dict[str, Any]:
        """The options of every aiokafka client."""
        security = ("SASL_SSL" if self.tls else "SASL_PLAINTEXT") if self.sasl else ("SSL" if self.tls else "PLAINTEXT")
        options: dict[str, Any] = {
            "bootstrap_servers": list(self.bootstrap),
            "security_protocol": security,
            "ssl_context": self.tls,
            # Also the time after which a request to a silent broker is abandoned and repeated; a call has our own
            # deadline.
            "request_timeout_ms": max(1000, int(min(self.deadline, 10.0) * 1000)),
            "metadata_max_age_ms": 60_000,
            "retry_backoff_ms": 100,
        }
        if self.sasl:
            options |= {
                "sasl_mechanism": self.sasl,
                "sasl_plain_username": self.username,
                "sasl_plain_password": text_of(self.password),
            }
        return options

    def renew(self, client: AIOKafkaClient) -> None:
        """Make a long-lived client sign in with the current password from now on. aiokafka reads it only once, when the
        client is made."""
        if self.sasl:
            client._sasl_plain_password = text_of(self.password)


def unavailable(error: BaseException) -> DependencyUnavailable:
    """An error of a broker or of the connection as `DependencyUnavailable`."""
    name = type(error).__name__.removesuffix("Error")
    detail = str(error).removeprefix(f"{type(error).__name__}: ").removeprefix("KafkaConnectionError: ")
    return DependencyUnavailable(DEPENDENCY, f"{name}: {detail}"[:300] if detail else name)


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Every broker error inside, and exceeding `seconds`, becomes `DependencyUnavailable`."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise DependencyUnavailable(DEPENDENCY, f"no answer within {seconds:g} s") from error
    except (KafkaError, OSError) as error:
        raise unavailable(error) from error
