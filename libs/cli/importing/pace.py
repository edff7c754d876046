"""The rate and the hours of an import, so that it does not disturb the working day."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from gantry.common.clock import Clock

_HOURS = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)-([01]?\d|2[0-3]):([0-5]\d)")
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]?)B?(?:/s)?", re.IGNORECASE)
_UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}
_LOOK_AGAIN = 60.0


@dataclass(frozen=True, slots=True)
class Hours:
    """Minutes of the day in local time, from and until; may span midnight."""

    since: int
    until: int

    def left_out(self, minute: int) -> int:
        """Minutes until the hours begin; 0 within them."""
        inside = (minute - self.since) % 1440 < ((self.until - self.since) % 1440 or 1440)
        return 0 if inside else (self.since - minute) % 1440


def hours(text: str) -> Hours:
    """`19:00-06:30`. Raises `ValueError` with a reason."""
    match = _HOURS.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} are not hours: 19:00-06:30")
    begin_hour, begin, end_hour, end = map(int, match.groups())
    return Hours(begin_hour * 60 + begin, end_hour * 60 + end)


def rate(text: str) -> float:
    """`20M`, `20MB/s`: bytes per second. Raises `ValueError` with a reason."""
    match = _RATE.fullmatch(text.strip())
    if match is None or not float(match[1]):
        raise ValueError(f"{text!r} is not a rate: 500K, 20M, 1G (bytes per second)")
    return float(match[1]) * _UNITS[match[2].upper()]


class TransferPace:
    """Waits so that the average rate stays below the limit, and nothing is transferred outside the hours."""

    def __init__(self, clock: Clock, bytes_per_second: float | None = None, within: Hours | None = None) -> None:
        self._clock = clock
        self._rate = bytes_per_second
        self._hours = within
        self._free_at = clock.monotonic()

    def wait(self) -> int:
        """Minutes until the hours begin; 0 within them."""
        if self._hours is None:
            return 0
        now = datetime.fromtimestamp(self._clock.now_us() / 1e6).astimezone()
        return self._hours.left_out(now.hour * 60 + now.minute)

    async def begin(self) -> None:
        """Wait until a transfer may begin."""
        while self.wait():
            await self._clock.sleep(_LOOK_AGAIN)
        await self.go_on()

    async def go_on(self) -> None:
        """Wait until a transfer in progress may continue, at any hour."""
        await self._clock.sleep(max(0.0, self._free_at - self._clock.monotonic()))

    def passed(self, count: int) -> None:
        """Record `count` transferred bytes."""
        if self._rate is not None:
            self._free_at = max(self._free_at, self._clock.monotonic()) + count / self._rate
