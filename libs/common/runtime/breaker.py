"""A failed archive is not asked again at once, so that it does not cost its deadline on each query (pure)."""

from __future__ import annotations

FIRST_SECONDS = 10.0
LONGEST_SECONDS = 300.0


class Breaker:
    """The breaker of one archive. After a failure there are no queries for a time that doubles with each further
    failure; then one query tries. Times in seconds, of any one clock."""

    def __init__(self) -> None:
        self._failures = 0
        self._until = 0.0
        self._is_tried = False

    def may_ask(self, now: float) -> bool:
        """Whether to ask now. If the archive failed before, other queries wait for the result of this one."""
        if not self._failures:
            return True
        if now < self._until:
            return False
        self._is_tried = True
        self._until = now + self._wait()
        return True

    def failed(self, now: float) -> None:
        """The archive did not answer. Queries that began before an earlier failure was known count as one with it."""
        if self._is_tried or not self._failures:
            self._failures += 1
        self._is_tried = False
        self._until = now + self._wait()

    def answered(self) -> None:
        """The archive answered."""
        self._failures = 0
        self._is_tried = False

    def _wait(self) -> float:
        return min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(max(self._failures - 1, 0), 16))


class Breakers:
    """The breakers of the archives that one process asks, by AE title, shared by its roles."""

    def __init__(self) -> None:
        self._of: dict[str, Breaker] = {}

    def of(self, ae_title: str) -> Breaker:
        """The breaker of an archive."""
        return self._of.setdefault(ae_title, Breaker())
