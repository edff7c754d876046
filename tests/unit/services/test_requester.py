"""The requester of a change."""

from __future__ import annotations

import pytest

from gantry.services.requester import Requester, this_user


def test_the_user_of_this_machine_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ann")
    assert this_user() == "ann"
    assert Requester("ann", "why").trace == ""


def test_a_user_without_a_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 4_000_000)
    assert this_user() == "unknown"
