"""`gantry.common.web.cookies`: names that only we can set, and their attributes for browsers."""

import pytest

from gantry.common.web.cookies import CookieNames

SAFE, PLAIN = CookieNames(secure=True), CookieNames(secure=False)


def test_cookie_is_kept_from_scripts_other_sites_and_the_wire() -> None:
    assert SAFE.set_cookie("gantry-session", "v", 60.9) == (
        "__Host-gantry-session=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
    )
    assert PLAIN.set_cookie("gantry-session", "v", 60) == "gantry-session=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"
    assert "Max-Age=0" in SAFE.delete_cookie("gantry-session")


def test_neighbour_s_cookie_has_another_name() -> None:
    headers = {"Cookie": "gantry-session=evil; __Host-gantry-session=ours; x=1"}
    assert SAFE.value(headers, "gantry-session") == "ours"
    assert PLAIN.value(headers, "gantry-session") == "evil"


@pytest.mark.parametrize("cookies", ["", "x=1", "gantry-session", "gantry-session=a; gantry-session=b", ";;=;"])
def test_none_or_two_are_none(cookies: str) -> None:
    assert PLAIN.value({"Cookie": cookies} if cookies else {}, "gantry-session") == ""


def test_names_that_begin_so() -> None:
    headers = {"Cookie": "__Host-gantry-flow-a=1; __Host-gantry-flow-b=2; gantry-flow-c=3"}
    assert SAFE.beginning(headers, "gantry-flow-") == ["gantry-flow-a", "gantry-flow-b"]


def test_endless_header_is_not_read_to_its_end() -> None:
    headers = {"Cookie": "; ".join(f"c{n}=1" for n in range(10_000)) + "; gantry-session=late"}
    assert PLAIN.value(headers, "gantry-session") == ""
