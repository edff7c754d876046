"""Views as the settings write them, and whose they are."""

from __future__ import annotations

from contextlib import suppress

from gantry.common.access import CallerRole
from gantry.common.access.views import VIEW, showing, view_of_roles, views_of


def test_views_show_what_is_rejected_with_their_codes() -> None:
    assert views_of(["qa=113001,113037", "wrong-entries=113038"]) == {
        "qa": frozenset(("113001", "113037")),
        "wrong-entries": frozenset(("113038",)),
    }


def test_the_first_view_of_a_role_that_somebody_has_counts() -> None:
    lines = ["technologist=qa", "radiologist=safety"]
    assert view_of_roles(lines, [CallerRole.RADIOLOGIST]) == "safety"
    assert view_of_roles(lines, [CallerRole.RADIOLOGIST, CallerRole.TECHNOLOGIST]) == "qa"
    assert view_of_roles(lines, [CallerRole.REFERRER]) == view_of_roles(lines, []) == ""


def test_a_view_ends_with_what_is_asked_for_it() -> None:
    with suppress(ValueError), showing("qa"):
        assert VIEW.get() == "qa"
        raise ValueError
    assert VIEW.get() == ""
