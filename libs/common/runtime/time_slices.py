"""How long a process runs before the kernel asks who is next: short where somebody waits for an answer.

An object is handed from process to process and waits for the disk several times before its sender is answered. Beside
neighbours that compute all the time, each of these turns waits until a neighbour's time slice has ended: 1.4 to 2.8 ms
on most machines. Linux 6.12 and later lets a process ask for shorter slices (sched_setattr(2), `sched_runtime` of the
usual policy): it gets no more of the processor, but gets it sooner, as its turns are short. No privilege is needed.
Older kernels and other systems go on as before.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from struct import Struct

SHORT = 100_000
"""Nanoseconds, the shortest that the kernel takes."""
USUAL = 0
"""The kernel's own length."""

_SET = {"x86_64": 314, "aarch64": 274}
"""The number of the call sched_setattr; that of sched_getattr is the next."""
_ATTRIBUTES = Struct("=IIQiIQQQ")
"""Of struct sched_attr, as it was first: size, policy, flags, nice, priority; then runtime, deadline and period in
nanoseconds."""
_NO_REAL_TIME = (os.SCHED_OTHER, os.SCHED_BATCH) if sys.platform == "linux" else ()


def set_time_slice(nanoseconds: int) -> bool:
    """Ask for time slices of this length, for the calling thread and for threads and processes that it starts later.
    Policy and niceness stay as they are. Returns whether the kernel took it; a process with a real-time policy is left
    alone."""
    number = _SET.get(platform.machine()) if sys.platform == "linux" else None
    if number is None:
        return False
    call = ctypes.CDLL(None).syscall
    now = ctypes.create_string_buffer(_ATTRIBUTES.size)
    if call(number + 1, 0, now, _ATTRIBUTES.size, 0) != 0:
        return False
    size, policy, flags, nice, priority, _, deadline, period = _ATTRIBUTES.unpack(now.raw)
    if policy not in _NO_REAL_TIME:
        return False
    wanted = _ATTRIBUTES.pack(size, policy, flags, nice, priority, nanoseconds, deadline, period)
    return bool(call(number, 0, wanted, 0) == 0)
