"""The time slices of processes, as the kernel shows them."""

from __future__ import annotations

import re
from pathlib import Path

_SLICE = re.compile(r"^se\.slice +: +(\d+)", re.MULTILINE)


def time_slice_of(process: int | str) -> int:
    """In nanoseconds; 0 where the kernel does not show it, or takes no other than its own."""
    try:
        found = _SLICE.search(Path(f"/proc/{process}/sched").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def takes_time_slices() -> bool:
    """Whether this kernel lets a process choose (Linux 6.12 and later, where it shows what it does)."""
    try:
        release = Path("/proc/sys/kernel/osrelease").read_text()
    except OSError:
        return False
    numbers = re.match(r"(\d+)\.(\d+)", release)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= (6, 12) and time_slice_of("self") > 0
