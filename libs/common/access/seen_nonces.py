"""The nonces of proofs that were used, for as long as their proofs could be used again. Pure: time is an argument."""

from __future__ import annotations

_SECOND_US = 1_000_000


class SeenNonces:
    """Bounded: beyond `most`, seconds whose nonces had to be dropped count as past, so that a full memory refuses
    claims but never accepts one twice."""

    def __init__(self, skew_us: int, most: int) -> None:
        self._skew = skew_us
        self._most = most
        self._by_second: dict[int, set[bytes]] = {}
        self._held = 0
        self._over = -1
        """The last second whose nonces were forgotten early."""

    def __len__(self) -> int:
        return self._held

    def is_new(self, nonce: bytes, at_us: int, now_us: int) -> bool:
        """Whether this nonce of this time is new; from now on it counts as seen. The caller has checked that `at_us` is
        within the skew of `now_us`."""
        self._forget(now_us)
        second = at_us // _SECOND_US
        if second <= self._over:
            return False
        seen = self._by_second.setdefault(second, set())
        if nonce in seen:
            return False
        seen.add(nonce)
        self._held += 1
        if self._held > self._most:
            self._over = min(self._by_second)
            self._drop(self._over)
        return True

    def _forget(self, now_us: int) -> None:
        first, last = ((now_us + skew) // _SECOND_US for skew in (-self._skew, self._skew))
        for second in [second for second in self._by_second if second < first]:
            self._drop(second)
        if self._over > last:  # the clock was set back
            self._over = -1

    def _drop(self, second: int) -> None:
        self._held -= len(self._by_second.pop(second))
