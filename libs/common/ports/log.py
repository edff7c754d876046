"""The event log port."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gantry.common.events import Event


@dataclass(frozen=True, slots=True)
class Record:
    """One event on the log. `payload` is the input of `gantry.common.events.decode`; `appended_at` is in microseconds
    since the epoch. Offsets grow within (topic, partition); they may have gaps."""

    topic: str
    partition: int
    offset: int
    key: str
    payload: bytes
    appended_at: int


@dataclass(frozen=True, slots=True)
class Passed:
    """Records that a group has committed since the previous `Passed`, and for each partition the offset behind them,
    where `EventLog.follow` continues."""

    records: Sequence[Record]
    ends: Mapping[int, int]


class Consumer(Protocol):
    """One member of a consumer group. Use as an async context manager; at its end other members take the partitions."""

    async def poll(self, max_records: int = 500) -> list[Record]:
        """The next records, at least one; waits for them without using the processor. Records of one partition come
        in order of offset. Each is returned once per member until it leaves; a record that was not committed is
        returned again to the next member of the partition."""

    async def commit(self, records: Sequence[Record]) -> None:
        """Commit these records and all before them in their partitions; durable when this returns."""

    async def __aenter__(self) -> Consumer: ...

    async def __aexit__(self, *exc: object) -> None: ...


class EventLog(Protocol):
    """Events in order, retained at least until every known group has committed them.

    - An event is durable, and visible to every consumer, when `append` returns.
    - Events with the same topic and key are in the order of their appends.
    - Delivery is at least once: a consumer sees every event that was appended after its group first joined, or since
      the beginning of what is retained for a new group, until it commits it.
    - Within a group, a partition belongs to one member at a time; several groups do not affect each other.
    - Retention never removes what a known group has not committed.
    - A log that is away, is full or refuses is `DependencyUnavailable`, within a deadline of the backend's settings.
      The event may then have been appended or not; appending it again does not harm the consumers.
    """

    async def append(self, *events: Event) -> None:
        """Append events, each to its topic (`gantry.common.events.topic_of`). Concurrent callers share the cost."""

    def consumer(self, group: str, topics: Sequence[str]) -> Consumer:
        """A member of a group; it joins when it is entered as a context manager. Entering does not wait for partitions;
        `poll` does."""

    def replay(self, topic: str, since_us: int = 0) -> AsyncIterator[Record]:
        """Everything retained in a topic that was appended before the iteration began, oldest first; belongs to no
        group. With `since_us` (microseconds since the epoch) nothing appended at that time or later is left out, and
        older records may be."""

    async def lag(self, group: str) -> dict[str, int]:
        """For each topic that the group has joined, how many records it has not committed."""

    async def ends(self, topic: str) -> dict[int, int]:
        """For each partition of a topic the offset behind its newest record; later records have this offset or a higher
        one."""

    async def has_passed(self, group: str, topic: str, ends: Mapping[int, int]) -> bool:
        """Whether a group has committed everything before `ends`. False if it has not joined the topic."""

    async def uncommitted(self, group: str, topic: str, key: str, most: int = 5000) -> list[Record]:
        """The records with this key that a group has not committed, in order; all with this key for a group that has
        not joined. `DependencyUnavailable` if more than `most` records would have to be examined."""

    async def last_committed(self, group: str, topic: str, most: int = 20) -> list[Record]:
        """The last records of each partition that a group has committed and that are still retained, at most `most`, in
        no particular order. Empty for a group that has not joined."""

    def follow(
        self, topic: str, group: str | None, after: Mapping[int, int] | None = None
    ) -> AsyncGenerator[Passed, None]:
        """What a group commits, or with None what is appended, for observers: belongs to no group, does not delay
        retention, never ends by itself. In each partition records come in order of offset, each once, within a second
        of its commit; uncommitted records are left out. It begins behind the offsets in `after`, which come from
        `Passed.ends` or `ends`; in other partitions, at the group's current offset. The first `Passed` comes at once,
        without records, and says where it begins. Records that retention has removed are skipped. Close it when it is
        no longer read."""

    async def check(self) -> None:
        """Return if an event could be appended now; `DependencyUnavailable` otherwise."""

    async def close(self) -> None:
        """Release the resources; events in progress are finished first. May be called twice."""
