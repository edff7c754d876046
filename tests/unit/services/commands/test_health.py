"""`gantry health`: it looks where a process of any role answers."""

from __future__ import annotations

import pytest

from gantry.services.commands.health import ports
from gantry.services.roles import EVERY, Role, http_port


@pytest.mark.parametrize("role", Role)
def test_every_role_answers_on_a_port_that_is_asked(monkeypatch: pytest.MonkeyPatch, role: Role) -> None:
    monkeypatch.delenv("GANTRY_HTTP__PORT", raising=False)
    assert http_port(frozenset({role}), 8080) in ports()
    monkeypatch.setenv("GANTRY_HTTP__PORT", "9000")
    assert http_port(frozenset({role}), 9000) in ports()
    assert http_port(EVERY, 9000) in ports()
