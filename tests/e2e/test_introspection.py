"""A real provider is asked about tokens that say nothing of themselves (RFC 7662)."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any

from tests.support.archive import RunningArchive
from tests.support.identity_provider import provider_folder, running_provider

SECRETS = {"checker": "one:secret/", "viewer": "another"}
_SETTINGS = """access:
  keys_deadline: 30
  introspect_every: 1
  issuers:
    - name: sso
      url: {issuer}
      audience: [gantry]
      introspect: [opaque]
      client_id: checker
      client_secret_file: {secret}
"""


def post(url: str, client: str, **form: str) -> Any:
    """What the provider answers one of its clients."""
    pair = ":".join(urllib.parse.quote_plus(word) for word in (client, SECRETS[client]))
    headers = {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
    request = urllib.request.Request(url, urllib.parse.urlencode(form).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.loads(response.read() or b"null")


def status(archive: RunningArchive, token: str, method: str = "GET") -> int:
    headers = {"Authorization": f"Bearer {token}"}
    url = f"http://127.0.0.1:{archive.http_port}/dicom-web/studies/1.2.3"
    if method == "GET":
        url = url.replace("/1.2.3", "?limit=1")
    try:
        with urllib.request.urlopen(urllib.request.Request(url, None, headers, method=method), timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_machine_comes_with_an_opaque_token_until_its_provider_takes_it_back(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRETS["checker"])
    roles = {"viewer": ["radiologist"]}
    archive = RunningArchive(tmp_path, lab=False)
    with running_provider(provider_folder(tmp_path), roles, [], machines=SECRETS) as provider:
        archive.write_policy([], _SETTINGS.format(issuer=provider.url, secret=secret))
        archive.start()
        try:
            fields = {"grant_type": "client_credentials", "resource": "urn:gantry:opaque"}
            token = post(f"{provider.url}/token", "viewer", **fields)["access_token"]
            assert "." not in token
            assert status(archive, token) == 200
            assert status(archive, token, "DELETE") == 403  # a radiologist may not
            assert status(archive, token + "x") == 401
            post(f"{provider.url}/token/revocation", "viewer", token=token)
            time.sleep(1.1)  # introspect_every
            assert status(archive, token) == 401
            assert token not in archive.log.read_text()
            assert SECRETS["checker"] not in archive.log.read_text()
        finally:
            archive.stop()
