"""`gantry.common.access.identity`."""

from gantry.common.access import NOBODY, RoleTable


def test_nobody_may_nothing() -> None:
    assert RoleTable().verbs_of(NOBODY) == frozenset()
