"""`gantry.common.web.shares`: passes of one installation, for all of its processes and for no other."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from gantry.common.access import NOTHING
from gantry.common.access.share_passes import SharedView, SharePass, sight_of_share
from gantry.common.clock import ManualClock
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError
from gantry.common.web.errors import HttpProblem
from gantry.common.web.overrides import SealedOverrides
from gantry.common.web.shares import SealedShares, sealed_shares_of

URL = "https://archive.example"
ONE = SharePass("s1", "o1", 1_700_000_100.0)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "keys"
    file.write_text("1" * 32)
    return file


def shares(keys: Path, url: str = URL, clock: ManualClock | None = None) -> SealedShares:
    return SealedShares(keys, url, clock or ManualClock())


def sent(cookie: str) -> dict[str, str]:
    return {"Cookie": cookie.partition(";")[0]}


def test_pass_of_one_process_is_known_to_another(keys: Path) -> None:
    cookie = shares(keys).sealed(ONE)
    assert shares(keys).brought(sent(cookie)) == ONE
    assert cookie.startswith("__Host-gantry-share=")
    for word in ("; Path=/;", "Max-Age=100;", "HttpOnly", "SameSite=Strict", "; Secure"):
        assert word in cookie, word
    assert "Max-Age=0;" in shares(keys).gone()


def test_pass_of_another_installation_is_none(keys: Path, tmp_path: Path) -> None:
    headers = sent(shares(keys).sealed(ONE))
    assert shares(keys, "https://other.example").brought(headers) is None
    other = tmp_path / "other"
    other.write_text("2" * 32)
    assert shares(other).brought(headers) is None
    assert shares(keys).brought({}) is None
    assert shares(keys).brought({"Cookie": "__Host-gantry-share=x"}) is None
    # What the same secret sealed for another use.
    other_use = SealedOverrides(keys, URL, 60.0, ManualClock())
    assert other_use._seals.of("override").open(headers["Cookie"].partition("=")[2]) is None


def test_pass_shows_what_the_log_says_and_nothing_once_it_is_over(keys: Path) -> None:
    clock = ManualClock()
    sealed_shares = shares(keys, clock=clock)
    # The front door does not know.
    assert asyncio.run(sealed_shares.shown(ONE)) == SharedView(NOTHING, download=True)
    known = SharedView(sight_of_share(("1.2",)), download=False)

    async def standing(share_pass: SharePass) -> SharedView | None:
        return known if share_pass == ONE else None

    sealed_shares.standing = standing
    assert asyncio.run(sealed_shares.shown(ONE)) == known
    with pytest.raises(HttpProblem) as revoked:
        asyncio.run(sealed_shares.shown(replace(ONE, opening="o2")))
    assert revoked.value.status == 403
    clock.advance(100)
    with pytest.raises(HttpProblem):
        asyncio.run(sealed_shares.shown(ONE))


def test_pass_speaks_for_requests_of_our_page_alone(keys: Path) -> None:
    sealed_shares = shares(keys)
    assert sealed_shares.is_from_our_page("GET", {"Sec-Fetch-Site": "same-origin"})
    assert not sealed_shares.is_from_our_page("GET", {"Sec-Fetch-Site": "cross-site"})
    assert not sealed_shares.is_from_our_page("GET", {"Origin": "https://evil.example"})


def test_link_is_of_the_url_that_is_configured(keys: Path) -> None:
    assert shares(keys).link("abc") == "https://archive.example/s/abc"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"http": {}}, "http.url"),
        ({"http": {"url": "http://archive.example"}}, "http.url"),
        ({"http": {"url": "https://archive.example/path"}}, "http.url"),
        ({"audit": {"on": False}}, "sharing.key_file"),
    ],
)
def test_links_need_a_safe_address_and_a_record(keys: Path, change: dict[str, object], field: str) -> None:
    sections = {"http": {"url": URL}, "sharing": {"key_file": keys}, **change}
    with pytest.raises(ConfigError, match=field):
        sealed_shares_of(Settings.model_validate(sections), ManualClock())


def test_without_a_key_there_are_no_links(keys: Path) -> None:
    assert sealed_shares_of(Settings(), ManualClock()) is None
    sections = {"http": {"url": f"{URL}/"}, "sharing": {"key_file": keys}}
    made = sealed_shares_of(Settings.model_validate(sections), ManualClock())
    assert made is not None
    assert made.url == URL
