"""A real OpenID provider, oidc-provider on Node (tests/support/provider), and visitors who sign in there."""

from __future__ import annotations

import http.cookiejar
import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.archive import ROOT, RunningArchive
from tests.support.ports import free_port

_SETTINGS = """http:
  url: {url}
access:
  keys_deadline: 60
  issuers:
    - name: sso
      url: {issuer}
      audience: [gantry]
login:
  issuer: sso
  client_id: {client}
  session_key_file: {keys}
"""
CLIENT = "gantry"


@dataclass(frozen=True)
class RunningProvider:
    url: str
    process: subprocess.Popen[bytes] = field(repr=False)


def provider_folder(folder: Path) -> Path:
    """Install the provider's program; skips the test by name if it is not available."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("npm is not installed, which fetches oidc-provider")
    made = Path(shutil.copytree(ROOT / "tests/support/provider", folder / "provider"))
    command = ["npm", "ci", "--no-audit", "--no-fund", "--silent"]
    if subprocess.run(command, cwd=made, capture_output=True, timeout=240, check=False).returncode:
        pytest.skip("npm cannot fetch oidc-provider")
    return made


@contextmanager
def running_provider(
    folder: Path,
    roles: Mapping[str, Sequence[str]],
    urls: Sequence[str],
    access_seconds: int = 300,
    machines: Mapping[str, str] | None = None,
) -> Iterator[RunningProvider]:
    """A provider that knows the archive at these URLs as its client, and what people may, by their names; the last one
    is told who signed out. `machines`
    have accounts and secrets there; one that is called checker may ask about tokens."""
    port = free_port()
    client: dict[str, Any] = {
        "client_id": CLIENT,
        "token_endpoint_auth_method": "none",
        "redirect_uris": [f"{url}/login/callback" for url in urls],
        "post_logout_redirect_uris": [f"{url}/login/out" for url in urls],
        "grant_types": ["authorization_code", "refresh_token"],
    }
    if urls:
        client |= {
            "backchannel_logout_uri": f"{urls[-1]}/login/backchannel",
            "backchannel_logout_session_required": True,
        }
    others = [
        {
            "client_id": name,
            "client_secret": secret,
            "grant_types": ["client_credentials"],
            "redirect_uris": [],
            "response_types": [],
        }
        for name, secret in (machines or {}).items()
    ]
    settings = {"port": port, "clients": [client, *others], "roles": roles, "accessSeconds": access_seconds}
    with (folder / "provider.log").open("wb") as log:
        process = subprocess.Popen(
            ["node", "provider.js", json.dumps(settings)], cwd=folder, stdout=subprocess.PIPE, stderr=log
        )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"listening\n", (folder / "provider.log").read_text()
        yield RunningProvider(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait(20)


def configure(archive: RunningArchive, provider: str, keys: Path, url: str = "", extra: str = "") -> None:
    """Enable login at an archive that is not started yet. `extra` continues the section `login`."""
    url = url or f"http://127.0.0.1:{archive.http_port}"
    settings = _SETTINGS.format(url=url, issuer=provider, client=CLIENT, keys=keys)
    archive.write_policy([], settings + extra)


class Visitor:
    """A browser without scripts: cookies, redirections, and the provider's form."""

    def __init__(self, url: str) -> None:
        self.url = url
        # Like a browser, which treats this machine as secure.
        policy = http.cookiejar.DefaultCookiePolicy(secure_protocols=("https", "http"))
        self.cookies = http.cookiejar.CookieJar(policy)
        self._follows = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))
        self._stays = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies), _Stay())

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, *, follow: bool = True, **headers: str
    ) -> tuple[int, str, str]:
        """Status, final address (or the one it redirects to), and text, for any URL or a path of the archive."""
        url = path if path.startswith("http") else self.url + path
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(url, body, named, method=method)
        try:
            with (self._follows if follow else self._stays).open(request, timeout=60) as response:
                return response.status, response.headers.get("Location", response.url), response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers.get("Location", error.url), error.read().decode()

    def sign_in(self, name: str, path: str = "/", *, follow: bool = True) -> tuple[int, str, str]:
        """Open a path, and sign in at the provider to which it redirects. Without `follow`, stop at the address with
        the code."""
        _, address, form = self.ask(path)
        assert 'name="login"' in form, (address, form)
        answer = urllib.parse.urlencode({"login": name}).encode()
        if follow:
            return self.ask(address, "POST", answer)
        status, location, text = self.ask(address, "POST", answer, follow=False)
        while status in (302, 303) and "/login/callback" not in location:
            status, location, text = self.ask(urllib.parse.urljoin(address, location), follow=False)
        return status, location, text

    def sign_out_at(self, provider: str) -> None:
        """Sign out at the provider, not at the archive."""
        _, address, form = self.ask(f"{provider}/session/end")
        match = re.search(r'name="xsrf" value="([^"]+)"', form)
        assert match is not None, (address, form)
        answer = urllib.parse.urlencode({"xsrf": match[1], "logout": "yes"}).encode()
        assert self.ask(f"{provider}/session/end/confirm", "POST", answer)[0] == 200

    def session(self) -> str:
        """The sealed session."""
        return next((cookie.value or "" for cookie in self.cookies if cookie.name == "gantry-session"), "")


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        return None
