"""A run of `make fuzz` finds a fault that was planted, and keeps what found it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.fuzz.__main__ import fuzz
from tests.fuzz.reaching import least, steps_of
from tests.fuzz.seeds import keep_seeds, seeds_of
from tests.fuzz.targets import command

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed: `make fuzz`"),
    pytest.mark.timeout(240),
]


def test_a_planted_fault_is_found(tmp_path: Path) -> None:
    run = fuzz("planted", 60, tmp_path, seed=1)
    assert [content[:3] for content in run.found] == [b"GAN"]
    assert "IndexError: planted" in run.said


def test_a_sound_reader_has_none_and_the_least_that_reaches_as_far_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fuzz("command", 3, tmp_path, seed=1)
    assert run.found == ()
    assert run.runs > 1000
    assert run.coverage > 20
    few = least(command, run.corpus)
    assert 0 < len(few) < len(run.corpus)
    reached = [set().union(*(steps_of(command, content) for content in corpus)) for corpus in (few, run.corpus)]
    assert reached[0] == reached[1]
    monkeypatch.setattr("tests.fuzz.seeds._SEEDS", tmp_path / "seeds")
    keep_seeds("command", few)
    assert sorted(seeds_of("command")) == sorted(few)
