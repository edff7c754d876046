"""`gantry.common.web.seals`: one file of secrets, in several processes, that changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gantry.common.errors import ConfigError
from gantry.common.web.seals import WatchedSeals


def test_what_one_process_sealed_for_a_use_another_opens_for_that_use(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("1" * 32)
    first, other = WatchedSeals(file, ("a", "b"), "p"), WatchedSeals(file, ("a", "b"), "p")
    sealed = first.of("a").seal({"x": 1})
    assert other.of("a").open(sealed) == {"x": 1}
    assert other.of("b").open(sealed) is None
    assert WatchedSeals(file, ("a",), "elsewhere").of("a").open(sealed) is None


def test_secrets_change_in_place_and_a_mistake_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("1" * 32)
    seals = WatchedSeals(file, ("a",), "")
    sealed = seals.of("a").seal({})
    file.write_text("short\n")
    assert seals.of("a").open(sealed) == {}
    file.write_text("2" * 33)
    assert seals.of("a").open(sealed) is None


@pytest.mark.parametrize("content", [None, "", "short", "# a comment\n"])
def test_file_without_secrets_is_refused_at_the_start(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "keys").write_text(content)
    with pytest.raises(ConfigError):
        WatchedSeals(tmp_path / "keys", ("a",), "")
