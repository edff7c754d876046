"""A real Keycloak as the identity provider, set up as docs/access.md says: people at the page, machines with tokens,
keys that change, and logouts that begin there."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.archive import RunningArchive
from tests.support.identity_provider import Visitor
from tests.support.keycloak import Keycloak

SECRET = "a secret of the page's client"
PEOPLE = {"rita": ["radiologist"], "adam": ["administrator"], "nobody": ["cook"], "sam": ["service"]}
_SETTINGS = """http:
  url: {url}
access:
  keys_deadline: 60
  introspect_every: 1
  issuers:
    - name: sso
      url: {issuer}
      audience: [gantry]
      roles_claim: realm_access.roles
      introspect: {introspect}
      client_id: gantry
      client_secret_file: {secret}
login:
  issuer: sso
  client_id: gantry-page
  client_secret_file: {secret}
  session_key_file: {keys}
"""


def audience() -> list[dict[str, object]]:
    """The mapper that says for whom access tokens are."""
    config = {"included.client.audience": "gantry", "access.token.claim": "true", "id.token.claim": "false"}
    mapper = {"protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper"}
    return [{"name": "for the archive", "config": config, **mapper}]


class KeycloakSite:
    def __init__(self, folder: Path, keycloak: Keycloak) -> None:
        self.keycloak = keycloak
        self.archive = RunningArchive(folder, lab=False)
        self.url = f"http://127.0.0.1:{self.archive.http_port}"
        (folder / "secret").write_text(SECRET)
        (folder / "keys").write_text("k" * 40)
        self._files = {"secret": folder / "secret", "keys": folder / "keys"}

    def configure(self, introspect: str = "[]") -> None:
        settings = _SETTINGS.format(url=self.url, issuer=self.keycloak.url, introspect=introspect, **self._files)
        self.archive.write_policy([], settings)

    def clients(self) -> list[dict[str, object]]:
        page = {
            "clientId": "gantry-page",
            "secret": SECRET,
            "standardFlowEnabled": True,
            "directAccessGrantsEnabled": False,
            "redirectUris": [f"{self.url}/login/callback"],
            "protocolMappers": audience(),
            "attributes": {
                "pkce.code.challenge.method": "S256",
                "post.logout.redirect.uris": f"{self.url}/login/out",
                "backchannel.logout.url": f"{self.url}/login/backchannel",
                "backchannel.logout.session.required": "true",
            },
        }
        machines = [
            {
                "clientId": name,
                "secret": SECRET,
                "serviceAccountsEnabled": True,
                "standardFlowEnabled": False,
                "protocolMappers": mappers,
            }
            for name, mappers in (("ris", audience()), ("stranger", []))
        ]
        # Who is the audience, and asks about tokens: Keycloak answers nobody else.
        itself = {"clientId": "gantry", "secret": SECRET, "standardFlowEnabled": False}
        return [itself, page, *machines]

    def visitor(self, name: str) -> Visitor:
        """Somebody who signed in."""
        guest = Visitor(self.url)
        status, address, text = self.keycloak.sign_in(guest, name)
        assert (status, address) == (200, f"{self.url}/"), text[:500]
        return guest

    def with_token(self, token: str, path: str = "/dicom-web/studies", method: str = "GET") -> int:
        request = urllib.request.Request(self.url + path, None, {"Authorization": f"Bearer {token}"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeycloakSite]:
    folder = tmp_path_factory.mktemp("keycloak")
    with Keycloak(folder) as keycloak:
        made = KeycloakSite(folder, keycloak)
        keycloak.make_realm(PEOPLE, made.clients())
        for name in ("ris", "stranger"):
            keycloak.give_role(name, "service")
        made.configure()
        made.archive.start(ready=False)
        try:
            made.archive.wait_ready()
            yield made
            assert made.archive.alive
        finally:
            made.archive.stop()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_people_sign_in_and_may_what_their_realm_roles_say(site: KeycloakSite) -> None:
    rita, adam = site.visitor("rita"), site.visitor("adam")
    assert json.loads(rita.ask("/login/session")[2])["name"] == "rita"
    for visitor, status in ((rita, 403), (adam, 404)):
        assert visitor.ask("/dicom-web/studies")[0] in (200, 204)
        assert visitor.ask("/dicom-web/studies/1.2.3", "DELETE", Origin=site.url)[0] == status
    status, _, text = site.keycloak.sign_in(Visitor(site.url), "nobody")
    assert (status, "the claim realm_access.roles of your access token" in text) == (403, True)


def test_machine_comes_with_its_own_token_and_not_with_one_for_others(site: KeycloakSite) -> None:
    assert site.with_token(site.keycloak.machine_token("ris", SECRET)) in (200, 204)
    assert site.with_token(site.keycloak.machine_token("stranger", SECRET)) == 401


def test_session_goes_on_by_its_refresh_token_until_the_person_is_closed_out(site: KeycloakSite) -> None:
    visitor = site.visitor("sam")
    visitor.cookies.clear(domain="127.0.0.1", path="/", name="gantry-session")
    assert visitor.ask("/login/renew", "POST", b"", Origin=site.url)[0] == 200
    assert visitor.ask("/dicom-web/studies")[0] in (200, 204)
    site.keycloak.change("sam", enabled=False)
    visitor.cookies.clear(domain="127.0.0.1", path="/", name="gantry-session")
    assert visitor.ask("/login/renew", "POST", b"", Origin=site.url)[0] == 401
    site.keycloak.change("sam", enabled=True)


def test_who_is_signed_out_by_the_administrator_is_out_of_the_archive(site: KeycloakSite) -> None:
    """OpenID Connect Back-Channel Logout 1.0, as Keycloak sends it."""
    first, second, other = site.visitor("rita"), site.visitor("rita"), site.visitor("adam")
    site.keycloak.sign_out("rita")
    for visitor in (first, second):
        until(lambda visitor=visitor: visitor.ask("/dicom-web/studies")[0] == 401)  # type: ignore[misc]
        assert visitor.ask("/login/renew", "POST", b"", Origin=site.url)[0] == 401
    assert other.ask("/dicom-web/studies")[0] in (200, 204)
    assert site.archive.metric("gantry_provider_logouts_total") >= 2
    assert site.visitor("rita").ask("/dicom-web/studies")[0] in (200, 204), "and may sign in again"


def test_who_signs_out_at_the_page_is_signed_out_at_keycloak(site: KeycloakSite) -> None:
    """RFC 7009, and OpenID Connect RP-Initiated Logout 1.0."""
    visitor = site.visitor("rita")
    status, _, text = visitor.ask("/login/logout", "POST", b"", Origin=site.url)
    assert status == 200
    location = json.loads(text)["location"]
    assert location.startswith(site.keycloak.url), location
    _, address, page = visitor.ask(location)
    assert (address, "You are signed out" in page) == (f"{site.url}/login/out", True)
    assert visitor.ask("/dicom-web/studies")[0] == 401
    _, address, page = visitor.ask("/")
    assert (address.startswith(site.keycloak.url), 'name="password"' in page) == (True, True), "he has to sign in anew"


def test_key_that_keycloak_signs_with_from_now_on_is_fetched(site: KeycloakSite) -> None:
    """An unknown key is asked for once a minute: the first test of this archive may just have done so."""
    before = site.keycloak.machine_token("ris", SECRET)
    site.keycloak.rotate()
    after = site.keycloak.machine_token("ris", SECRET)
    assert after.partition(".")[0] != before.partition(".")[0], "another kid"
    until(lambda: site.with_token(after) in (200, 204))
    assert site.with_token(before) in (200, 204), "the old one counts as long as Keycloak publishes it"


def test_keycloak_is_asked_whether_a_token_still_counts(site: KeycloakSite) -> None:
    """RFC 7662, for tokens whose signature holds."""
    site.archive.stop()
    site.configure("[signed]")
    site.archive.start(ready=False)
    site.archive.wait_ready()
    visitor = site.visitor("adam")
    assert visitor.ask("/dicom-web/studies")[0] in (200, 204)
    token = site.keycloak.machine_token("ris", SECRET)
    assert site.with_token(token) in (200, 204)
    (client,) = site.keycloak.admin("GET", "/hospital/clients?clientId=ris")
    site.keycloak.admin("PUT", f"/hospital/clients/{client['id']}", {**client, "enabled": False})
    until(lambda: site.with_token(token) == 401)
