"""How often passcodes may be tried from one address. Pure: time is an argument, in seconds."""

from __future__ import annotations

from collections import deque

_MOST_ADDRESSES = 10_000


class FailedTries:
    """Tries that failed or are under way, by address, in the last `within` seconds; at most `most`."""

    def __init__(self, most: int = 10, within: float = 60.0) -> None:
        self._most = most
        self._within = within
        self._tries: dict[str, deque[float]] = {}

    def begin(self, address: str, now: float) -> bool:
        """Whether there may be another try, which counts until it `succeeded`."""
        tries = self._tries.pop(address, deque())
        self._tries[address] = tries  # the latest are last
        while tries and now - tries[0] >= self._within:
            tries.popleft()
        if len(tries) >= self._most:
            return False
        tries.append(now)
        if len(self._tries) > _MOST_ADDRESSES:
            del self._tries[next(iter(self._tries))]
        return True

    def succeeded(self, address: str, begun: float) -> None:
        """The try that began then succeeded, and does not count."""
        tries = self._tries.get(address)
        if tries is not None and begun in tries:
            tries.remove(begun)
            if not tries:
                del self._tries[address]
