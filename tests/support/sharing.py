"""An archive with links for people outside: its studies, its callers, and the requests of people outside."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlsplit

from tests.support.archive import RunningArchive
from tests.support.objects import data_set, file_bytes
from tests.support.preloaded import IMPORTS, run_gantry
from tests.support.stow import files, post

STUDIES = {"1.2.9.1": "P1", "1.2.9.2": "P1", "1.2.9.3": "P3"}
ROLES = {"machine": "", "doc": "radiologist", "other": "radiologist", "tech": "technologist", "all": "administrator"}
SETTINGS = """sharing:
  key_file: {folder}/shares
http:
  url: http://127.0.0.1:{port}
  tokens_file: {folder}/tokens
"""
REASON = "second opinion, clinic on the lake"
PASSWORD = "seven blue horses"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
READS = [
    *("{0}/metadata", "{0}/rendered", "{0}/thumbnail", "{0}/series", "{0}/instances"),
    "{0}/series/{0}.1/instances/{0}.1.1/frames/1",
    "{0}/series/{0}.1/instances/{0}.1.1/bulkdata/7FE00010",
]
SEVERAL = "studies?StudyInstanceUID=1.2.9.1,1.2.9.2"
OBJECTS = ["{0}", "{0}/series/{0}.1", "{0}/series/{0}.1/instances/{0}.1.1"]


@dataclass(frozen=True)
class Answer:
    """The answer to a request."""

    status: int
    body: bytes
    headers: http.client.HTTPMessage

    @property
    def cookie(self) -> str:
        return self.headers.get("Set-Cookie", "").partition(";")[0]


@dataclass
class Ward:
    """The archive, and requests to it."""

    archive: RunningArchive
    folder: Path

    def send(
        self, path: str, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.archive.http_port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, response.read(), response.headers)
        finally:
            connection.close()

    def ask(self, user: str, path: str, method: str = "GET", body: object = None) -> Answer:
        sent = {"Authorization": f"Bearer 0123456789abcdef-{user}"} | (JSON if body is not None else {})
        return self.send(path, method, None if body is None else json.dumps(body).encode(), sent)

    def shared(self, user: str = "doc", *studies: str, **options: object) -> tuple[str, str]:
        """The name of a link, and its path."""
        end = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        order = {"studies": list(studies or ["1.2.9.1"]), "expires": end, "reason": REASON, **options}
        answer = self.ask(user, "/dicom-web/shares", "POST", order)
        assert answer.status == 201, answer.body
        share = json.loads(answer.body)
        assert share["link"].startswith(f"http://127.0.0.1:{self.archive.http_port}/s/")
        return share["share"], urlsplit(share["link"]).path

    def enter(self, path: str, password: str = "", **headers: str) -> Answer:
        body = f"password={quote(password)}".encode()
        return self.send(path, "POST", body, {**FORM, "Sec-Fetch-Site": "same-origin", **headers})

    def let_in(self, path: str, password: str = "") -> dict[str, str]:
        """The headers that a browser sends after it was admitted."""
        answer = self.enter(path, password)
        assert answer.status == 303, answer.body
        return {"Cookie": answer.cookie}

    def reads(self, path: str, brings: Mapping[str, str]) -> int:
        return self.send(f"/dicom-web/studies/{path}", headers=brings).status

    def find_studies(self, brings: Mapping[str, str], search: str = "studies") -> set[str]:
        answer = self.send(f"/dicom-web/{search}", headers={**brings, "Accept": "application/dicom+json"})
        assert answer.status in (200, 204), answer.body
        return {document["0020000D"]["Value"][0] for document in json.loads(answer.body or b"[]")}

    def found_status(self, brings: Mapping[str, str]) -> int:
        return self.send("/dicom-web/studies", headers=brings).status

    def listed(self, user: str, share: str) -> dict[str, object] | None:
        rows = json.loads(self.ask(user, "/dicom-web/shares").body)["shares"]
        return next((row for row in rows if row["share"] == share), None)

    def counted(self, result: str) -> float:
        return self.archive.metric(f'gantry_share_openings_total{{result="{result}"}}')


def until(holds: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def filled(archive: RunningArchive, folder: Path, more: str = "") -> Ward:
    """The archive, started, with the studies in it."""
    lines = [f"{name}:0123456789abcdef-{name}" + f" roles={role}" * bool(role) for name, role in ROLES.items()]
    (folder / "tokens").write_text("\n".join(lines))
    (folder / "shares").write_text("1" * 44)
    archive.write_policy([], SETTINGS.format(folder=folder, port=archive.http_port) + more)
    archive.start()
    made = [
        data_set(study=uid, series=f"{uid}.1", instance=f"{uid}.1.1", patient=patient)
        for uid, patient in STUDIES.items()
    ]
    stored = post(archive, files(map(file_bytes, made)), Authorization="Bearer 0123456789abcdef-machine")
    assert stored.status == 200, stored.body
    ward = Ward(archive, folder)
    until(lambda: ward.find_studies({"Authorization": "Bearer 0123456789abcdef-machine"}) == set(STUDIES))
    return ward


def gantry(ward: Ward, *arguments: str, command: str = "share") -> tuple[int, str, str]:
    """`gantry share …` on the stores of the archive."""
    archive = ward.archive
    environment = {**os.environ, **archive.environment, "PYTHONPATH": IMPORTS}
    words = [command, *arguments, "--config", str(archive.config), "--data", str(archive.folder / "data")]
    done = run_gantry(words, environment, archive.folder, timeout=110)
    return done.returncode, done.stdout, done.stderr
