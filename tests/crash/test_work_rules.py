"""Workitems that rules ask for, on the whole archive, in both topologies: a foreign worker finds, claims, fetches and
completes each, and there is one of each whatever is killed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from gantry.common.dicom.standard.dictionary import TAGS
from tests.crash.conftest import MakeArchive
from tests.crash.test_deletion import send
from tests.crash.test_upkeep import gantry
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, get, uids_of
from tests.support.objects import bytes_of, data_set, study, write
from tests.support.workitems import MINE, WorkitemsClient, as_json, claim, done

SETTINGS = (
    "http: {may_order: [loopback], may_delete: [loopback]}\n"
    "completion: {quiet: 4}\n"
    "routing: {rules: [{name: liver, where: ['PatientID=P1'], priority: high, workitem: {"
    "code: 'SEG^99LOCAL^Segment the liver', worklist_label: LIVER, station: 'BOT1^99LOCAL^Liver bot'}}]}\n"
)


def asking(make_archive: MakeArchive) -> RunningArchive:
    archive = make_archive()
    archive.write_policy([], SETTINGS)
    return archive


async def until_there(archive: RunningArchive, count: int, **keys: str) -> list[dict[str, Any]]:
    """The documents of so many workitems, once there are."""
    client = WorkitemsClient(archive.http_port)
    query = "&".join(f"{name}={value}" for name, value in keys.items())
    async with asyncio.timeout(60):
        while True:
            status, answer, _ = await asyncio.to_thread(client.ask, "GET", f"?{query}")
            if status in (200, 204) and len(answer or []) == count:
                return list(answer or [])
            assert status != 200 or len(answer) <= count, answer
            await asyncio.sleep(0.2)


def values_of(document: dict[str, Any], keyword: str) -> list[Any]:
    values: list[Any] = document.get(f"{TAGS[keyword]:08X}", {}).get("Value", [])
    return values


def references(document: dict[str, Any]) -> set[str]:
    """The SOP Instance UIDs of the input."""
    series = values_of(document, "InputInformationSequence")
    instances = [reference for item in series for reference in values_of(item, "ReferencedSOPSequence")]
    return {values_of(instance, "ReferencedSOPInstanceUID")[0] for instance in instances}


async def test_a_foreign_worker_performs_what_a_rule_asks_for(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = asking(make_archive).start()
    files, others = study(tmp_path / "files", 4, series=2, patient="P1"), study(tmp_path / "o", 1, patient="P2")
    await send(archive, files, others)
    keys = {"ProcedureStepState": "SCHEDULED", "WorklistLabel": "LIVER"}
    (document,) = await until_there(archive, 1, **keys)
    uid = values_of(document, "SOPInstanceUID")[0]
    assert values_of(document, "ScheduledProcedureStepPriority") == ["HIGH"]
    assert values_of(document, "PatientID") == ["P1"]
    series = values_of(document, "InputInformationSequence")
    assert len(series) == 2
    assert references(document) == {file.sop_instance_uid for file in files}

    client = WorkitemsClient(archive.http_port)
    assert client.ask("PUT", f"/{uid}/state", claim())[0] == 200
    (where,) = values_of(series[0], "DICOMRetrievalSequence")
    assert values_of(where, "RetrieveAETitle") == [archive.peer.called_ae_title]
    fetched = await get(archive.peer, tmp_path / "got", "STUDY", f"StudyInstanceUID={uids_of(files[0])[0]}")
    assert fetched == {file.sop_instance_uid: bytes_of(file) for file in files}
    assert client.ask("POST", f"/{uid}?{MINE}", as_json(done()))[0] == 200
    assert client.ask("PUT", f"/{uid}/state", claim(wanted="COMPLETED"))[0] == 200

    # What comes late is work again, with all that is there.
    study_uid, series_uid = uids_of(files[0])
    late = write(tmp_path / "late", data_set(study=study_uid, series=series_uid, number=9, patient="P1"))
    await Modality(archive.peer, [late]).send_all()
    (again,) = await until_there(archive, 1, **keys)
    assert references(again) == {file.sop_instance_uid for file in (*files, late)}
    assert values_of(again, "SOPInstanceUID")[0] != uid

    check = await asyncio.to_thread(gantry, archive, "routes", "check", study_uid)
    assert "a workitem" in check.stdout, check
    await by_command(archive, values_of(again, "SOPInstanceUID")[0])
    assert archive.stop() == 0


async def by_command(archive: RunningArchive, uid: str) -> None:
    """A person sees it, and decides that nobody is to do it."""
    listed = await asyncio.to_thread(gantry, archive, "workitems", "list", "--state", "SCHEDULED")
    assert uid in listed.stdout, listed
    shown = await asyncio.to_thread(gantry, archive, "workitems", "show", uid)
    assert values_of(json.loads(shown.stdout), "WorklistLabel") == ["LIVER"]
    cancelled = await asyncio.to_thread(gantry, archive, "workitems", "cancel", uid, "--reason", "not needed")
    assert (cancelled.returncode, cancelled.stdout) == (0, "the workitem is CANCELED\n"), cancelled
    assert WorkitemsClient(archive.http_port).state(uid) == "CANCELED"
    unknown = await asyncio.to_thread(gantry, archive, "workitems", "cancel", "1.2.3.4", "--reason", "no")
    assert (unknown.returncode, unknown.stderr) == (1, "Error: there is no workitem 1.2.3.4\n"), unknown
    erased = await asyncio.to_thread(gantry, archive, "workitems", "erase", uid, "--reason", "the law")
    assert erased.returncode == 0, erased
    assert WorkitemsClient(archive.http_port).ask("GET", f"/{uid}")[0] == 410


async def test_there_is_one_workitem_whatever_is_killed(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = asking(make_archive).start()
    files = study(tmp_path / "files", 2, patient="P1")
    await send(archive, files)
    archive.kill()
    for number in (1, 2, 3):
        # The completion, the workitem, or what comes behind it is on the log, and nobody heard of it.
        archive.start(failpoints=f"after-publish=kill@{number}", ready=False)
        await asyncio.sleep(9)
        archive.kill()
    archive.start()
    (document,) = await until_there(archive, 1)
    assert references(document) == {file.sop_instance_uid for file in files}
    await asyncio.sleep(2)
    assert len(await until_there(archive, 1)) == 1
    assert archive.stop() == 0
