"""`gantry.services.process.user_permissions`: what a user of a role may on an association, in one table."""

import pytest

from gantry.common.access import (
    EVERYTHING,
    NOTHING,
    AdmittedUser,
    CallerRole,
    Identity,
    Means,
    RoleTable,
    Sight,
    without_confidential,
)
from gantry.common.config.policy import Permission, in_words
from gantry.services.process.user_permissions import may_move, permissions_of

FORMER = "store, find, retrieve, commit, echo, worklist, mpps"
TABLE = {
    "technologist": ("store, find, retrieve, commit, echo, reject, worklist, mpps, ups", True),
    "radiologist": ("store, find, retrieve, commit, echo, reject, worklist, mpps", True),
    "referrer": ("find, retrieve, echo", False),
    "patient": ("find, retrieve, echo", False),
    "administrator": ("store, find, retrieve, commit, echo, reject, worklist, mpps, ups", True),
    "service": (f"{FORMER}, ups", True),
    "": (FORMER, True),
}


def user(role: str, means: Means = Means.USER, sight: Sight = EVERYTHING) -> AdmittedUser:
    identity = Identity("s", "s", means, frozenset([CallerRole(role)] if role else []))
    return AdmittedUser(identity, RoleTable().verbs_of(identity), sight)


@pytest.mark.parametrize("role", TABLE)
def test_role_may(role: str) -> None:
    assert (in_words(permissions_of(user(role))), may_move(user(role))) == TABLE[role]


@pytest.mark.parametrize("role", ["technologist", "administrator"])
def test_who_sees_some_studies_may_search_and_retrieve_alone(role: str) -> None:
    assert permissions_of(user(role, sight=NOTHING)) == {Permission.FIND, Permission.RETRIEVE, Permission.ECHO}


def test_who_sees_all_but_what_is_confidential_does_not_reject_and_has_no_workitems() -> None:
    ordinary = without_confidential(EVERYTHING)
    held = permissions_of(user("technologist", sight=ordinary))
    assert in_words(held) == "store, find, retrieve, commit, echo, worklist, mpps"
    assert permissions_of(user("referrer", sight=ordinary)) == permissions_of(user("referrer"))


def test_user_of_an_issuer_without_a_role_may_nothing() -> None:
    assert permissions_of(user("", Means.ISSUER)) == {Permission.ECHO}
