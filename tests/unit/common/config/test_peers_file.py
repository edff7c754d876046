"""Edits of the AE policy file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gantry.common.config.peers_file import add_peer, change_peer, remove_peer
from gantry.common.errors import ConfigError

TEXT = """# who may speak to us
dimse:
  port: 104  # the usual one
peers:
  # the scanner in room 1
  - ae_title: CT1
    host: 192.0.2.1
    port: 104
"""
MR1 = {"ae_title": "MR1", "host": "192.0.2.2", "port": 104}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "gantry.yaml"
    made.write_text(TEXT)
    return made


def test_a_peer_is_added_behind_the_others_and_comments_stay(file: Path) -> None:
    add_peer(file, MR1)
    assert file.read_text().startswith(TEXT)
    assert "MR1" in file.read_text()


def test_a_peer_that_was_added_can_be_removed_again(file: Path) -> None:
    add_peer(file, MR1)
    remove_peer(file, "MR1")
    assert file.read_text() == TEXT


def test_the_file_is_made_where_it_is_not_there(tmp_path: Path) -> None:
    add_peer(tmp_path / "new.yaml", MR1)
    with pytest.raises(ConfigError, match="already in the file"):
        add_peer(tmp_path / "new.yaml", MR1)


@pytest.mark.parametrize(
    "entry",
    [{"ae_title": "CT1", "host": "a", "port": 1}, {"ae_title": "A\\B", "host": "a", "port": 1}, {"nonsense": 1}],
)
def test_what_would_make_no_policy_leaves_the_file_as_it_was(file: Path, entry: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        add_peer(file, entry)
    assert file.read_text() == TEXT
    assert os.listdir(file.parent) == [file.name]


def test_a_peer_that_is_not_there_cannot_be_removed(file: Path) -> None:
    with pytest.raises(ConfigError, match="no peer has the AE title XX") as error:
        remove_peer(file, "XX")
    assert error.value.line == 4
    assert file.read_text() == TEXT


def test_who_may_read_the_file_stays_the_same(file: Path) -> None:
    file.chmod(0o640)
    add_peer(file, MR1)
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_change_of_a_peer_leaves_the_rest_and_all_comments(file: Path) -> None:
    before = file.read_text()
    change_peer(file, "CT1", {"port": 105, "move_destination": True})
    after = file.read_text()
    assert "port: 105" in after
    assert "move_destination: true" in after
    change_peer(file, "CT1", {"port": 104, "move_destination": None})
    assert file.read_text() == before


def test_a_change_that_would_make_no_policy_leaves_the_file_as_it_was(file: Path) -> None:
    for title, fields in (("XX", {"port": 1}), ("CT1", {"host": None, "from": None}), ("CT1", {"colour": "red"})):
        with pytest.raises(ConfigError):
            change_peer(file, title, fields)
        assert file.read_text() == TEXT
