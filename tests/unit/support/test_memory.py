"""Folders in memory for servers of tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import memory


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A session's folder, where a machine's memory is `tmp_path/shm`, with room for it, and we are root."""
    (tmp_path / "shm").mkdir()
    (tmp_path / "session").mkdir()
    monkeypatch.setattr(memory, "_MEMORY", tmp_path / "shm")
    monkeypatch.setattr(memory, "_ROOM", 0)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    return tmp_path / "session"


def test_each_server_has_a_folder_that_its_user_may_write_to_and_all_go_with_the_session(session: Path) -> None:
    memory.begin(session)
    first, second = memory.new_folder(str(session)), memory.new_folder(str(session))
    assert first is not None
    assert second is not None
    assert first != second
    assert first.stat().st_mode & 0o777 == 0o777
    assert first.is_relative_to(session.parent / "shm")
    memory.end(session)
    assert [*(session.parent / "shm").iterdir()] == []


def test_without_room_servers_are_on_a_disk(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_ROOM", 1 << 60)
    memory.begin(session)
    assert memory.new_folder(str(session)) is None
    memory.end(session)


def test_who_cannot_remove_what_a_containers_user_leaves_uses_a_disk(
    session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    memory.begin(session)
    assert memory.new_folder(str(session)) is None
