"""Breaking the glass at a real server on a real index: what is opened, for whom, until when, and the audit records."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gantry.common.access import role_table
from gantry.common.adapters.sqlite import open_sqlite_index, open_sqlite_log
from gantry.common.clock import ManualClock
from gantry.common.events import AuditRecorded, decode
from gantry.common.ports.log import EventLog
from gantry.common.runtime.auditing.trail import AuditTrail
from gantry.common.runtime.restricted_index import RestrictedIndex
from gantry.common.telemetry.metrics import Metrics
from gantry.common.web.access import AccessControl, Tokens
from gantry.common.web.overrides import HEADER, SealedOverrides
from gantry.common.web.server import WebServer
from gantry.services.indexer.entries import entry_of
from gantry.services.process.audited_requests import RequestAudit
from gantry.services.query.app import build_web
from gantry.services.query.overriding import OverrideService
from tests.support.objects import data_set, file_bytes
from tests.support.web import event_of

ROLES = {"jane": "referrer", "max": "referrer", "all": "radiologist"}
PATH = "/dicom-web/overrides"
REASON = "found unconscious, no consent"
STUDY = {"study": "1.2.1", "reason": REASON}
STUDIES = {"1.2.1": "P1", "1.2.2": "P1", "1.2.3": "P3"}


@dataclass
class Glass:
    """The server, and who asks."""

    folder: Path
    log: EventLog
    clock: ManualClock = field(default_factory=lambda: ManualClock(1_700_000_000_000_000))
    metrics: Metrics = field(default_factory=Metrics)
    port: int = 0

    def __post_init__(self) -> None:
        self.trail = AuditTrail(self.clock, self.metrics, "query", "host:1")

    async def ask(
        self, user: str, path: str, method: str = "GET", body: Any = None, **headers: str
    ) -> tuple[int, str, str]:
        """Status, text and Set-Cookie."""
        sent = {"Authorization": f"Bearer 0123456789abcdef-{user}", **headers}
        async with aiohttp.request(method, f"http://127.0.0.1:{self.port}{path}", json=body, headers=sent) as answer:
            return answer.status, await answer.text(), answer.headers.get("Set-Cookie", "")

    async def sees(self, user: str, **headers: str) -> set[str]:
        """The studies that a search finds."""
        _, text, _ = await self.ask(user, "/dicom-web/studies", Accept="application/dicom+json", **headers)
        return {match["0020000D"]["Value"][0] for match in json.loads(text)}

    async def opened(self, user: str, body: Any, **headers: str) -> str:
        """The token of an override."""
        status, text, _ = await self.ask(user, PATH, "POST", body, **headers)
        assert status == 201, text
        token: str = json.loads(text)["override"]
        return token

    async def records(self) -> list[AuditRecorded]:
        await self.trail.flush(self.log, everything=True)
        history = [decode(record.payload) async for record in self.log.replay("audit")]
        return [record for record in history if isinstance(record, AuditRecorded)]

    def counted(self, opened: str) -> float:
        return self.metrics.registry.get_sample_value("gantry_overrides_total", {"opened": opened}) or 0.0


@asynccontextmanager
async def serving(folder: Path, *, on: bool = True) -> AsyncIterator[Glass]:
    lines = [f"{name}:0123456789abcdef-{name} roles={role}\n" for name, role in ROLES.items()]
    (folder / "tokens").write_text("".join(lines))
    (folder / "keys").write_text("1" * 32)
    index = await open_sqlite_index(folder / "index.db")
    glass = Glass(folder, await open_sqlite_log(folder / "log.db", ManualClock()))
    for number, (study, patient) in enumerate(STUDIES.items()):
        data = file_bytes(data_set(study=study, instance=f"{study}.1.1", patient=patient))
        event = event_of(data, number)
        await index.apply([entry_of(event, data[event.data_set_offset :])])
    overrides = SealedOverrides(folder / "keys", "", 60.0, glass.clock) if on else None
    access = AccessControl(Tokens(folder / "tokens"), table=role_table(["referrer=read,override"]), overrides=overrides)
    server = WebServer("127.0.0.1", 0, {}, access, witness=RequestAudit(glass.trail, glass.clock))
    server.serve(build_web(RestrictedIndex(index), None))
    server.serve(OverrideService(overrides, glass.metrics).handlers())
    await server.start()
    glass.port = server.port
    try:
        yield glass
    finally:
        await server.close()
        await index.close()
        await glass.log.close()


@pytest.fixture
async def glass(tmp_path: Path) -> AsyncIterator[Glass]:
    async with serving(tmp_path) as fixture:
        yield fixture


async def test_study_is_open_to_who_opened_it_until_its_time(glass: Glass) -> None:
    assert await glass.sees("jane") == set()
    status, text, cookie = await glass.ask("jane", PATH, "POST", STUDY)
    assert (status, json.loads(text)["until"]) == (201, "2023-11-14T22:14:20Z")
    token = json.loads(text)["override"]
    for headers in ({HEADER: token}, {"Cookie": cookie.partition(";")[0]}):
        assert await glass.sees("jane", **headers) == {"1.2.1"}
        assert await glass.sees("max", **headers) == set()
        assert await glass.sees("all", **headers) == set(STUDIES)
    assert await glass.sees("jane") == set()
    glass.clock.advance(61)
    assert await glass.sees("jane", **{HEADER: token}) == set()


async def test_patient_is_open_with_all_of_his_studies_and_several_are_at_once(glass: Glass) -> None:
    patient = await glass.opened("jane", {"patient": "P1", "reason": REASON})
    assert await glass.sees("jane", **{HEADER: patient}) == {"1.2.1", "1.2.2"}
    both = await glass.opened("jane", {"study": "1.2.3", "reason": REASON}, **{HEADER: patient})
    assert await glass.sees("jane", **{HEADER: both}) == set(STUDIES)
    assert (glass.counted("patient"), glass.counted("study")) == (1, 1)


async def test_caller_is_told_what_is_open_and_until_when(glass: Glass) -> None:
    async def open_now(user: str, **headers: str) -> Any:
        status, text, _ = await glass.ask(user, PATH, **headers)
        assert status == 200
        return json.loads(text)

    assert await open_now("jane") == {"minutes": 1.0, "overrides": []}
    patient = await glass.opened("jane", {"patient": "P1", "issuer": "H", "reason": REASON})
    glass.clock.advance(10)
    both = {HEADER: await glass.opened("jane", STUDY, **{HEADER: patient})}
    study_row = {"study": "1.2.1", "until": "2023-11-14T22:14:30Z"}
    patient_row = {"patient": "P1", "issuer": "H", "until": "2023-11-14T22:14:20Z"}
    assert (await open_now("jane", **both))["overrides"] == [study_row, patient_row]
    assert (await open_now("max", **both))["overrides"] == []
    glass.clock.advance(51)
    assert (await open_now("jane", **both))["overrides"] == [study_row]


async def test_answer_does_not_say_whether_there_is_such_a_study(glass: Glass) -> None:
    answers = [await glass.ask("jane", PATH, "POST", {"study": uid, "reason": REASON}) for uid in ("1.2.1", "1.2.9")]
    (code, words, _), (nowhere, other, _) = answers
    assert code == nowhere == 201
    assert json.loads(words)["until"] == json.loads(other)["until"]
    assert len(words) == len(other)


async def test_override_and_what_is_read_under_it_are_on_record(
    glass: Glass, capsys: pytest.CaptureFixture[str]
) -> None:
    token = await glass.opened("jane", STUDY)
    await glass.opened("jane", {"patient": "P3", "issuer": "H", "reason": REASON})
    await glass.sees("jane", **{HEADER: token})
    records = await glass.records()
    begun = [record for record in records if record.kind == "override"]
    assert {
        (record.operation, record.requestor, record.requestor_is, record.why, record.outcome, record.address)
        for record in begun
    } == {
        ("open study", "jane", "token", REASON, 0, "127.0.0.1"),
        ("open patient", "jane", "token", REASON, 0, "127.0.0.1"),
    }
    objects = {(row.study_instance_uid, row.patient_id, row.issuer) for record in begun for row in record.objects}
    assert objects == {("1.2.1", "", ""), ("", "P3", "H")}
    assert [record.why for record in records if record.kind == "query"] == ["an override is in force"]


async def test_caller_who_sees_everything_needs_none(glass: Glass) -> None:
    status, text, cookie = await glass.ask("all", PATH, "POST", STUDY)
    assert (status, text, cookie) == (409, "this caller sees every study already\n", "")
    assert not [record for record in await glass.records() if record.kind == "override"]
    assert glass.counted("study") == 0


@pytest.mark.parametrize("body", [{"study": "1.2.1"}, {"study": "1.2.1", "reason": "because"}, {"reason": REASON}, [1]])
async def test_nothing_is_opened_without_a_reason_or_without_a_name(glass: Glass, body: Any) -> None:
    status, _, cookie = await glass.ask("jane", PATH, "POST", body)
    assert (status, cookie, glass.counted("study")) == (400, "", 0)


async def test_browser_forgets_what_it_had(glass: Glass) -> None:
    status, _, cookie = await glass.ask("jane", PATH, "DELETE")
    assert status == 204
    assert cookie.startswith("gantry-override=; Path=/; Max-Age=0")


async def test_nothing_is_opened_where_it_is_not_set_up(tmp_path: Path) -> None:
    async with serving(tmp_path, on=False) as glass:
        for method in ("GET", "POST", "DELETE"):
            status, text, _ = await glass.ask("jane", PATH, method, STUDY)
            assert (status, "access.override_key_file" in text) == (404, True)


async def test_form_of_another_site_opens_nothing(glass: Glass) -> None:
    assert (await glass.ask("jane", PATH, "POST", STUDY, **{"Sec-Fetch-Site": "cross-site"}))[0] == 403
    assert (await glass.ask("jane", PATH, "POST", STUDY, **{"Content-Type": "text/plain"}))[0] == 415
