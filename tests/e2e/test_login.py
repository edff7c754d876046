"""People sign in: at a real provider, in a real browser, at real processes that share nothing but a file of secrets."""

from __future__ import annotations

import json
import secrets
import time
import urllib.parse
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from tests.support.archive import RunningArchive
from tests.support.browser import Page, browser, chromium
from tests.support.door import FrontDoor
from tests.support.identity_provider import RunningProvider, Visitor, configure, provider_folder, running_provider
from tests.support.objects import file_bytes
from tests.support.page import ROWS
from tests.support.stow import files, post
from tests.support.ward import ward

ROLES = {"rita": ["radiologist"], "adam": ["administrator"], "nobody": ["cook"]}
TOKEN = "a-token-of-a-machine"


class LoginSite:
    """An archive, a process with other secrets, a front door with processes behind it, and the provider of all."""

    def __init__(self, folder: Path) -> None:
        self.keys, self.other_keys = folder / "keys", folder / "other-keys"
        self.keys.write_text(f"{secrets.token_urlsafe(32)}\n")
        self.other_keys.write_text(f"{secrets.token_urlsafe(32)}\n")
        self.archive, self.stranger = (self._archive(folder / name) for name in ("a", "stranger"))
        (folder / "door").mkdir()
        scale = {"query": 2, **dict.fromkeys(("retrieve", "commitment", "orders", "mixed"), 0)}
        self.door = FrontDoor(folder / "door", scale=scale)
        self.url = f"http://127.0.0.1:{self.archive.http_port}"
        self.door_url = f"http://127.0.0.1:{self.door.http_port}"
        self.provider: RunningProvider | None = None

    def _archive(self, folder: Path) -> RunningArchive:
        folder.mkdir()
        (folder / "tokens").write_text(f"machine:{TOKEN} roles=administrator\n")
        return RunningArchive(folder, lab=False, environment={"GANTRY_HTTP__TOKENS_FILE": str(folder / "tokens")})

    def start(self, provider: RunningProvider) -> None:
        self.provider = provider
        configure(self.archive, provider.url, self.keys)
        configure(self.stranger, provider.url, self.other_keys, self.url)
        configure(self.door, provider.url, self.keys)
        for archive in (self.archive, self.stranger):
            archive.start(ready=False)
        for archive in (self.archive, self.stranger):
            archive.wait_ready()

    def fill(self) -> None:
        """Two studies, stored and found with the token of a machine."""
        token = {"Authorization": f"Bearer {TOKEN}"}
        for made in ward(date.today(), 2, size=32, first_size=32):
            assert post(self.archive, files(file_bytes(dataset) for dataset in made), **token).status == 200
        until(lambda: len(json.loads(self.visitor().ask("/dicom-web/studies", **token)[2] or "[]")) == 2)

    def visitor(self) -> Visitor:
        return Visitor(self.url)

    def log(self) -> str:
        return self.archive.log.read_text()


def until(holds: Callable[[], bool]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoginSite]:
    folder = tmp_path_factory.mktemp("login")
    made = LoginSite(folder)
    with running_provider(provider_folder(folder), ROLES, [made.url, made.door_url]) as provider:
        try:
            made.start(provider)
            yield made
            assert made.archive.alive, made.log()
        finally:
            for archive in (made.archive, made.stranger):
                archive.stop()


def test_somebody_signs_in_and_no_process_with_other_secrets_knows_him(site: LoginSite) -> None:
    visitor = site.visitor()
    status, address, text = visitor.sign_in("rita", "/?q=doe")
    assert (status, address) == (200, f"{site.url}/?q=doe"), text
    assert json.loads(visitor.ask("/login/session")[2])["name"] == "rita"
    assert visitor.ask("/dicom-web/studies")[0] in (200, 204)
    assert visitor.ask(f"http://127.0.0.1:{site.stranger.http_port}/dicom-web/studies")[0] == 401
    assert visitor.ask("/dicom-web/studies", Authorization="Bearer wrong-token-of-nobody")[0] == 401
    assert "signed in" in site.log()


def test_who_comes_from_another_system_signs_in_and_sees_what_it_asked_for(site: LoginSite) -> None:
    """IHE RAD-106, then OpenID Connect, then the page."""
    path = "/IHEInvokeImageDisplay?requestType=PATIENT&patientID=4711%5E%5E%5EHOSPITAL"
    status, address, text = site.visitor().sign_in("rita", path)
    assert (status, address) == (200, f"{site.url}/?q=id%3A%224711%22+issuer%3A%22HOSPITAL%22"), text
    assert site.visitor().ask("/IHEInvokeImageDisplay?requestType=STUDY")[0] == 400


def test_every_process_behind_the_door_knows_who_signed_in(site: LoginSite) -> None:
    """Whichever of two began the login, ended it, and is asked then; and a process of another role."""
    site.door.start()
    try:
        visitor = Visitor(site.door_url)
        status, address, text = visitor.sign_in("adam", "/operations")
        assert (status, address) == (200, f"{site.door_url}/operations"), text
        assert {visitor.ask("/dicom-web/studies")[0] for _ in range(6)} <= {200, 204}
        assert {visitor.ask("/login/renew", "POST", b"", Origin=site.door_url)[0] for _ in range(4)} == {200}
        assert visitor.ask("/dicom-web/studies/1.2.3", "DELETE", Origin=site.door_url)[0] == 404
        assert visitor.ask("/dicom-web/studies/1.2.3", "DELETE", Origin="http://127.0.0.1:9")[0] == 403
        answered = [process.metric("gantry_http_requests_total") for process in site.door.parts["query"]]
        assert all(answered), "each process was asked"
    finally:
        site.door.stop()


def test_who_signs_out_at_the_provider_is_out_at_every_process_behind_the_door(site: LoginSite) -> None:
    """OpenID Connect Back-Channel Logout 1.0. The provider tells one process; the log tells the others."""
    assert site.provider is not None
    site.door.start()
    try:
        leaves, stays = Visitor(site.door_url), Visitor(site.door_url)
        for visitor in (leaves, stays):
            assert visitor.sign_in("adam")[0] == 200
            assert {visitor.ask("/dicom-web/studies")[0] for _ in range(4)} <= {200, 204}
        leaves.sign_out_at(site.provider.url)
        until(lambda: {leaves.ask("/dicom-web/studies")[0] for _ in range(6)} == {401})
        assert leaves.ask("/dicom-web/studies/1.2.3", "DELETE", Origin=site.door_url)[0] == 401  # of another role
        assert leaves.ask("/login/renew", "POST", b"", Origin=site.door_url)[0] == 401
        assert {stays.ask("/dicom-web/studies")[0] for _ in range(6)} <= {200, 204}, "his other browser"
        assert sum(process.metric("gantry_provider_logouts_total") for process in site.door.parts["query"]) == 1
    finally:
        site.door.stop()


def test_nothing_of_the_tokens_is_in_an_address_or_a_log(site: LoginSite) -> None:
    visitor = site.visitor()
    _, back, _ = visitor.sign_in("rita", follow=False)
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(back).query)
    assert set(query) == {"code", "state", "iss"}
    assert visitor.ask(back)[0] == 200
    assert query["code"][0] not in site.log()
    assert "eyJ" not in site.log()  # how every JWT and JWE begins
    for cookie in visitor.cookies:
        if cookie.name.startswith("gantry-"):
            assert cookie.has_nonstandard_attr("HttpOnly")
            assert cookie.get_nonstandard_attr("SameSite") == "Lax"


def test_code_counts_once_and_only_where_its_login_began(site: LoginSite) -> None:
    visitor, thief = site.visitor(), site.visitor()
    _, back, _ = visitor.sign_in("rita", follow=False)
    status, _, text = thief.ask(back)
    assert (status, "not under way in this browser" in text) == (400, True)
    assert not thief.session()
    flow = [cookie for cookie in visitor.cookies if cookie.name.startswith("gantry-flow-")]
    assert visitor.ask(back)[0] == 200
    assert visitor.ask(back)[0] == 400  # the browser has forgotten that login
    for cookie in flow:
        visitor.cookies.set_cookie(cookie)
    status, _, text = visitor.ask(back)
    assert (status, "it was used before" in text) == (400, True)


def test_answer_of_another_provider_is_none(site: LoginSite) -> None:
    """RFC 9207: mix-up."""
    visitor = site.visitor()
    _, back, _ = visitor.sign_in("rita", follow=False)
    assert site.provider is not None
    other = back.replace(
        urllib.parse.quote(site.provider.url, safe=""), urllib.parse.quote("https://evil.example", safe="")
    )
    assert other != back
    status, _, text = visitor.ask(other)
    assert (status, "another identity provider" in text) == (400, True)
    without = back.partition("&iss=")[0]
    assert visitor.ask(without)[0] == 400
    assert not visitor.session()


def test_who_has_no_role_is_told_which_claim_was_looked_at(site: LoginSite) -> None:
    visitor = site.visitor()
    status, _, text = visitor.sign_in("nobody")
    assert status == 403
    assert "the claim roles of your access token" in text
    assert "cook" not in text
    assert not visitor.session()


def test_page_of_a_stranger_deletes_nothing(site: LoginSite) -> None:
    """The browser would send the cookie from another port of the same host, and from a neighbour's subdomain."""
    visitor = site.visitor()
    visitor.sign_in("adam")
    path = "/dicom-web/studies/1.2.3"
    same = {"Origin": site.url, "Sec_Fetch_Site": "same-origin"}
    assert visitor.ask(path, "DELETE", **same)[0] == 404
    for headers in (
        {"Origin": "https://evil.example", "Sec_Fetch_Site": "cross-site"},
        {"Origin": "http://127.0.0.1:9", "Sec_Fetch_Site": "same-site"},
        {"Origin": "null"},
        {},
    ):
        assert visitor.ask(path, "DELETE", **headers)[0] == 403, headers
        assert visitor.ask("/login/logout", "POST", b"", **headers)[0] == 403, headers
    assert visitor.ask("/dicom-web/studies", Sec_Fetch_Site="same-site")[0] == 403
    assert visitor.ask(path, "DELETE", Authorization=f"Bearer {TOKEN}")[0] == 404  # tokens go on as they did


def test_logins_are_on_record(site: LoginSite) -> None:
    visitor = site.visitor()
    visitor.sign_in("adam")
    site.visitor().sign_in("nobody")
    visitor.ask("/login/logout", "POST", b"", Origin=site.url)

    def recorded() -> bool:
        status, _, text = visitor.ask("/dicom-web/operations/audit?limit=1000", Authorization=f"Bearer {TOKEN}")
        assert status == 200, text
        kinds = {(row["kind"], row["requestor"], row["outcome"]) for row in json.loads(text)["records"]}
        return {("login", "sso:adam", 0), ("login", "", 8), ("logout", "sso:adam", 0)} <= kinds

    until(recorded)


async def _sign_in(page: Page, name: str) -> None:
    await page.until("Boolean(document.querySelector('input[name=login]'))")
    await page.type("input[name=login]", name)
    await page.press("Enter")
    await page.until(f"document.querySelector('.signed-in')?.textContent === {json.dumps(name)}")


async def test_browser_signs_in_works_by_role_and_signs_out(site: LoginSite) -> None:
    chromium()
    assert site.provider is not None
    site.fill()
    async with browser() as page:
        await page.size(1440, 900)
        await page.open(site.url)
        await _sign_in(page, "rita")
        await page.until(f"{ROWS}.length === 2")
        await page.until("document.body.dataset.ready")
        assert not await page.evaluate("document.cookie + Object.values({...localStorage, ...sessionStorage}).join()")
        assert "Delete …" not in await _selection(page)
        refused = "fetch('/dicom-web/studies/1.2.3', {method: 'DELETE'}).then(answer => answer.status)"
        assert await page.evaluate(refused) == 403
        assert [error for error in page.errors if "403" not in error] == []
        # An expired session: the page renews it by its grant, and shows the list.
        page.errors.clear()
        await page.do("Network.deleteCookies", name="gantry-session", url=site.url)
        assert await page.evaluate("window.session.renew().then(who => who.name)") == "rita"
        await page.do("Network.deleteCookies", name="gantry-session", url=site.url)
        await page.open(site.url)
        await page.until(f"{ROWS}.length === 2")
        # Without either of the two somebody signs in; the provider still knows her.
        for cookie in ("gantry-session", "gantry-grant", "gantry-came"):
            await page.do("Network.deleteCookies", name=cookie, url=site.url)
        await page.open(f"{site.url}/?q=ward")
        await page.until("document.querySelector('.signed-in')?.textContent === 'rita'")
        assert await page.evaluate("location.search") == "?q=ward"
        await page.press_button("Sign out")
        await page.until(f"location.href.startsWith({json.dumps(site.provider.url)})", 60)
        await page.press_button("Yes, sign me out")
        await page.until("document.body?.innerText.includes('You are signed out')")
        cookies = (await page.do("Network.getCookies", urls=[site.url]))["cookies"]
        # A login that the page before began by itself, and that another one overtook, leaves its flow for some minutes.
        assert [n for cookie in cookies if (n := cookie["name"]).startswith("gantry-") and "-flow-" not in n] == []
        await page.press_button("Sign in again", of="a")
        await _sign_in(page, "adam")
        await page.until(f"{ROWS}.length === 2")
        await page.until("document.body.dataset.ready")
        await _selection(page)
        await page.until("document.querySelector('action-bar').innerText.includes('Delete …')")  # once it is known
        deleted = "fetch('/dicom-web/studies/1.2.3', {method: 'DELETE'}).then(answer => answer.status)"
        assert await page.evaluate(deleted) == 404


async def _selection(page: Page) -> str:
    await page.press("ArrowDown", "x")
    await page.until("!document.querySelector('action-bar').hidden")
    shown: str = await page.evaluate("document.querySelector('action-bar').innerText")
    return shown
