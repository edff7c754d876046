"""How far inputs reach: the steps from line to line of our code that a target takes with them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType

import gantry

_OURS = str(Path(gantry.__file__).parent)
Step = tuple[str, int, int]


def least(target: Callable[[bytes], None], inputs: Iterable[bytes]) -> list[bytes]:
    """Of some inputs, few that together take every step that all of them take: the shortest first."""
    taken: set[Step] = set()
    reaching = []
    for content in sorted(set(inputs), key=lambda data: (len(data), data)):
        steps = steps_of(target, content)
        if not steps <= taken:
            taken |= steps
            reaching.append(content)
    return reaching


def steps_of(target: Callable[[bytes], None], content: bytes) -> set[Step]:
    """The steps that a target takes with one input."""
    steps: set[Step] = set()

    def trace(frame: FrameType, event: str, argument: object) -> Callable[..., object] | None:
        file = frame.f_code.co_filename
        if not file.startswith(_OURS):
            return None
        last = frame.f_lineno

        def line(frame: FrameType, event: str, argument: object) -> Callable[..., object]:
            nonlocal last
            steps.add((file, last, frame.f_lineno))
            last = frame.f_lineno
            return line

        return line

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        target(content)
    finally:
        sys.settrace(before)
    return steps
