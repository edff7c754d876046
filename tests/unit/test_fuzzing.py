"""What fuzzing begins with, and what it found once, is read without a fault (`make fuzz` looks for more)."""

from __future__ import annotations

import pytest

from tests.fuzz.seeds import found_by, seeds_of
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_that_is_kept_is_read_or_refused_as_promised(name: str) -> None:
    inputs = [*seeds_of(name), *(path.read_bytes() for path in found_by(name)), b"", b"\xff", bytes(300)]
    assert len(inputs) > 3, f"no seeds for {name}: `python -m tests.fuzz --real`"
    for content in inputs:
        TARGETS[name](content)


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_cut_off_anywhere_is_no_fault(name: str) -> None:
    for content in seeds_of(name)[:4]:
        for end in range(0, len(content), max(1, len(content) // 40)):
            TARGETS[name](content[:end])
