"""The roles, and where each listens."""

from __future__ import annotations

import pytest

from gantry.services.roles import EVERY, Role, dimse_port, http_port


def test_every_role_says_what_it_is_for() -> None:
    purposes = [role.purpose for role in Role]
    assert all(purposes)
    assert len(set(purposes)) == len(purposes)


def test_the_archive_is_every_role_but_the_door() -> None:
    assert EVERY | {Role.DOOR} == set(Role)
    assert Role.DOOR not in EVERY


def test_only_the_indexer_takes_no_associations() -> None:
    assert [role for role in Role if not role.serves_dimse] == [Role.INDEXER]


@pytest.mark.parametrize("port", [dimse_port, http_port])
def test_roles_together_listen_where_the_settings_say(port: object) -> None:
    for roles in (EVERY, frozenset((Role.QUERY, Role.RETRIEVE)), frozenset((Role.DOOR,))):
        assert port(roles, 11112) == 11112  # type: ignore[operator]


def test_roles_that_run_alone_on_one_machine_do_not_meet() -> None:
    dimse = [dimse_port(frozenset((role,)), 11112) for role in Role if role.serves_dimse]
    http = [http_port(frozenset((role,)), 8080) for role in Role]
    assert len(set(dimse)) == len(dimse)
    assert len(set(http)) == len(http)


@pytest.mark.parametrize("role", Role)
def test_a_port_that_the_system_chooses_stays_one(role: Role) -> None:
    assert dimse_port(frozenset((role,)), 0) == http_port(frozenset((role,)), 0) == 0
