"""Every access, change and refusal is on record, whoever asks and whatever is killed; in both topologies."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gantry.cli.identifiers import BOTH
from gantry.common.dicom.standard.sop_classes import VERIFICATION
from gantry.common.errors import AssociationRejected
from gantry.common.net import Peer, connect
from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_upkeep import gantry
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, events, find_matches, get, uids_of, wait_for
from tests.support.audit_schema import require_valid
from tests.support.objects import data_set, study, write
from tests.support.operations import OPERATOR

PEERS = [
    "{ae_title: CT1, host: 127.0.0.1, may: [store, echo]}",
    "{ae_title: TEST_SCU, host: 127.0.0.1, may: [echo, find, retrieve]}",
]
NAME = "Secret^Jane"
Record = dict[str, Any]


def on_record(archive: RunningArchive, **terms: str) -> list[Record]:
    query = "&".join(f"{name}={value}" for name, value in terms.items())
    url = f"http://127.0.0.1:{archive.http_port}/dicom-web/operations/audit?{query}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return list(json.load(answer)["records"])


async def until_on_record(archive: RunningArchive, holds: Callable[[list[Record]], bool], **terms: str) -> list[Record]:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 20
    while not holds(records := await asyncio.to_thread(on_record, archive, **terms)):
        assert loop.time() < deadline, kinds(records)
        await asyncio.sleep(0.3)
    return records


def http(archive: RunningArchive, path: str, method: str = "GET") -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{archive.http_port}/dicom-web/{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def kinds(records: list[Record]) -> set[tuple[str, str, str]]:
    return {(record["kind"], record["operation"], record["requestor"]) for record in records}


async def test_who_saw_a_patient_is_answered_with_every_way_in(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive(peers=PEERS).start(env=OPERATOR)
    files = study(tmp_path / "a", 3, PatientID="4711", name=NAME)
    uid = uids_of(files[0])[0]
    other = study(tmp_path / "b", 1, PatientID="9999")
    await Modality(Peer("127.0.0.1", archive.port, "GANTRY", "CT1"), [*files, *other]).send_all()
    await wait_for(archive, 4)
    await find_matches(archive.peer, "STUDY", "PatientID=4711", "StudyInstanceUID")
    await get(archive.peer, tmp_path / "got", "STUDY", f"StudyInstanceUID={uid}")
    for path in ("studies?PatientID=4711&limit=5", f"studies/{uid}/metadata", f"studies/{uid}", f"studies/{uid}"):
        assert await asyncio.to_thread(http, archive, path) == 200
    assert await asyncio.to_thread(http, archive, f"studies/{uid}?reason=a+trial", "DELETE") in (200, 202, 204, 403)
    expected = {
        ("stored", "C-STORE", "CT1"),
        ("query", "C-FIND", "TEST_SCU"),
        ("begin-sending", "C-GET", "TEST_SCU"),
        ("sent", "C-GET", "TEST_SCU"),
        ("query", "GET search studies", "loopback"),
        ("accessed", "GET metadata", "loopback"),
        ("sent", "GET objects", "loopback"),
        ("study-deleted", "delete", "loopback"),
    }
    records = await until_on_record(archive, lambda trail: expected <= kinds(trail), patient="4711")
    by = {(record["kind"], record["operation"]): record for record in records}
    (stored,) = [record for record in records if record["kind"] == "stored"]
    assert stored["times"] == 3
    assert stored["outcome"] == 0
    assert stored["address"] == "127.0.0.1"
    assert stored["objects"][0]["patient_id"] == "4711"
    assert stored["objects"][0]["instances"] == 3
    assert by["sent", "GET objects"]["times"] == 2
    assert all("9999" not in json.dumps(record) for record in records)
    assert NAME not in json.dumps(records)
    deleted = by["study-deleted", "delete"]
    assert deleted["objects"][0]["patient_id"] == "4711"
    assert deleted["why"] == "a trial"
    # The same from the command line, as AuditMessage and AuditEvent; and that somebody asked is on record.
    result = await asyncio.to_thread(gantry, archive, "audit", "who", "4711", "--form", "xml")
    messages = [require_valid(line.encode()) for line in result.stdout.splitlines()]
    assert len(messages) >= len(expected)
    result = await asyncio.to_thread(gantry, archive, "audit", "who", uid, "--form", "fhir")
    assert {json.loads(line)["resourceType"] for line in result.stdout.splitlines()} == {"AuditEvent"}
    await until_on_record(archive, lambda trail: ("log-used", "gantry audit") in {k[:2] for k in kinds(trail)})
    await until_on_record(archive, lambda trail: ("log-used", "GET operations") in {k[:2] for k in kinds(trail)})


async def test_who_was_refused_is_on_record(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive(peers=PEERS, lab=False).start(env=OPERATOR)
    with pytest.raises(AssociationRejected):
        async with connect(Peer("127.0.0.1", archive.port, "GANTRY", "STRANGER"), [(VERIFICATION, BOTH)]):
            pass
    files = study(tmp_path / "a", 1)
    await Modality(archive.peer, files).send()  # TEST_SCU may not store
    wanted = {("node-refused", "A-ASSOCIATE", "STRANGER")}
    records = await until_on_record(archive, lambda trail: wanted <= kinds(trail))
    (refused,) = [record for record in records if record["kind"] == "node-refused"]
    assert refused["outcome"] == 8
    assert refused["address"] == "127.0.0.1"
    assert refused["why"]


@embedded
async def test_what_a_killed_process_saw_is_on_record_after_the_next_start(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive(peers=PEERS).start(env=OPERATOR)
    files = [write(tmp_path, data_set(PatientID="4711", name=NAME, number=1))]
    await Modality(Peer("127.0.0.1", archive.port, "GANTRY", "CT1"), files).send_all()
    await wait_for(archive, 1)
    uid = uids_of(files[0])[0]
    assert await asyncio.to_thread(http, archive, f"studies/{uid}/metadata") == 200
    archive.kill()  # before the record is complete
    assert not any(record.kind == "accessed" for record in await events(archive, "audit"))  # type: ignore[union-attr]
    archive.start(env=OPERATOR)
    records = await until_on_record(archive, lambda trail: any(r["kind"] == "accessed" for r in trail), study=uid)
    (read,) = [record for record in records if record["kind"] == "accessed"]
    assert read["requestor"] == "loopback"
    assert read["operation"] == "GET metadata"
    assert archive.metric("gantry_audit_records_replayed_total") >= 1
