"""Records comparisons and their results: metrics, the counts of the report, a log line for each kind of difference.

It gets operations, kinds, statuses, names of attributes, AE titles and UIDs, but no values of data sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from gantry.common.clock import Clock
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.rate_limited import RateLimited
from gantry.services.frontdoor.shadow.comparing import AnswerDifference
from gantry.services.frontdoor.shadow.tally import ComparisonTally, Example, Waiting

logger = get_logger("shadow")


class Recorder:
    """`days` holds the counts of days that may still change."""

    def __init__(self, clock: Clock, metrics: Metrics, partition: str = "") -> None:
        self._clock = clock
        self._metrics = metrics
        self._partition = partition
        self._fields = {"partition": partition} if partition else {}
        self._seldom = RateLimited()
        self.days: dict[str, ComparisonTally] = {}
        self.unsaved: set[str] = set()
        """Days whose counts have changed since they were saved."""

    def compared(
        self,
        operation: str,
        calling: str,
        differences: Sequence[AnswerDifference],
        seconds: Mapping[str, float],
        uids: tuple[str, ...] = (),
    ) -> None:
        """Both answers to one request were compared; `seconds` is the time of each side."""
        tally, now = self._today(), self._clock.now_us()
        outcome = "different" if differences else "same"
        self._metrics.shadow_compared.labels(operation, outcome).inc()
        (tally.different if differences else tally.same)[operation] += 1
        for side, took in seconds.items():
            self._metrics.shadow_seconds.labels(operation, side).observe(took)
            tally.add_seconds(operation, side, took)
        for kind in {difference.kind for difference in differences}:
            self._metrics.shadow_differences.labels(operation, kind).inc()
            tally.differences[operation, kind] += 1
        for difference in differences:
            instances = difference.uids or uids
            tally.example(Example(now, operation, difference.kind, calling, difference.words, instances))
            times = self._seldom.times((operation, difference.kind, calling), self._clock.monotonic())
            if times:
                logger.warning(
                    "answers differ",
                    **self._fields,
                    operation=operation,
                    kind=difference.kind.value,
                    calling=calling,
                    matches=difference.count,
                    what=difference.words,
                    uids=list(instances),
                    count=times,
                )

    def given_up(self, reason: str, calling: str, words: str = "") -> None:
        """An association or a message is not compared."""
        self._metrics.shadow_given_up.labels(reason).inc()
        self._today().given_up[reason] += 1
        times = self._seldom.times(("given up", reason, calling), self._clock.monotonic())
        if times:
            logger.warning("not compared", **self._fields, reason=reason, calling=calling, why=words, count=times)

    def put_off(self, reason: str, calling: str, words: str = "") -> None:
        """The objects of an association, or a request, go to the spool, to be sent later."""
        self._metrics.shadow_put_off.labels(reason).inc()
        times = self._seldom.times(("put off", reason, calling), self._clock.monotonic())
        if times:
            logger.warning("put off", **self._fields, reason=reason, calling=calling, why=words, count=times)

    def not_mirrored(self, operation: str) -> None:
        """A request of a kind that is never mirrored."""
        self._metrics.shadow_not_mirrored.labels(operation).inc()
        self._today().not_mirrored[operation] += 1

    def took_over(self, doors: Sequence[str]) -> None:
        """This process has taken over the spools of doors that have ended."""
        if doors:
            self._today().taken_over |= set(doors)

    def waits(self, waiting: Waiting) -> None:
        """Record the content of this process's spool."""
        tally = self._today()
        tally.waiting = {waiting.door: waiting}

    def reached(self, is_reachable: bool) -> None:
        """Record whether the shadow could be reached."""
        self._metrics.shadow_reached.labels(self._partition).set(is_reachable)

    def opened(self) -> None:
        """The mirror of an association begins. All partitions count together."""
        self._metrics.shadow_open.inc()

    def closed(self) -> None:
        """The mirror of an association has ended."""
        self._metrics.shadow_open.dec()

    def _today(self) -> ComparisonTally:
        now = self._clock.now_us()
        day = datetime.fromtimestamp(now / 1e6, UTC).strftime("%Y-%m-%d")
        tally = self.days.setdefault(day, ComparisonTally())
        tally.add_time(now, day)
        self.unsaved.add(day)
        return tally
