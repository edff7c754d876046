"""Where is my study? And who called? Asked beside a running archive, in both topologies."""

from __future__ import annotations

import asyncio
import json
import shutil
import urllib.request
from pathlib import Path
from typing import Any

import pydicom
import pytest

from gantry.cli.commit import ask
from gantry.cli.identifiers import BOTH, encode, identifier
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_MOVE, VERIFICATION
from gantry.common.errors import AssociationRejected
from gantry.common.events import CommitmentReported
from gantry.common.net import Peer, connect, scu
from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_dead_letters import open_letters, publish_without_object
from tests.crash.test_upkeep import SEALING, gantry
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, events, get, uids_of, until, wait_for
from tests.support.objects import study, write
from tests.support.rejection_notes import rejection_note

NAME = "Secret^Jane"
PEERS = [
    "{ae_title: CT1, host: 127.0.0.1, may: [store, echo, commit]}",
    "{ae_title: TEST_SCU, host: 127.0.0.1, may: [echo, find]}",
]


def named(archive: RunningArchive, title: str) -> Peer:
    return Peer("127.0.0.1", archive.port, "GANTRY", title)


async def where(archive: RunningArchive, term: str) -> tuple[int, dict[str, Any], str]:
    """The exit code, the JSON and the words."""
    result = await asyncio.to_thread(gantry, archive, "where", term)
    json_result = await asyncio.to_thread(gantry, archive, "where", term, "--json")
    assert NAME not in result.stdout + result.stderr + json_result.stdout + json_result.stderr
    assert result.returncode == json_result.returncode
    return json_result.returncode, json.loads(json_result.stdout), result.stdout


async def listed(archive: RunningArchive, *arguments: str) -> list[dict[str, Any]]:
    result = await asyncio.to_thread(gantry, archive, "associations", "--json", *arguments)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


async def until_listed(archive: RunningArchive, count: int, *arguments: str) -> list[dict[str, Any]]:
    async with asyncio.timeout(60):
        while len(states := await listed(archive, *arguments)) < count:
            await asyncio.sleep(0.2)
    return states


async def reported(archive: RunningArchive) -> None:
    """The requester has its report before the log says so."""
    async with asyncio.timeout(30):
        while not any(isinstance(event, CommitmentReported) for event in await events(archive, "commitment")):
            await asyncio.sleep(0.1)


async def test_a_study_is_found_by_any_of_its_names_with_who_sent_it_and_what_became_of_it(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive(lab=False)
    archive.write_policy([*PEERS], SEALING)
    archive.start()
    files = study(tmp_path / "files", 3, name=NAME, patient="PID7")
    await Modality(named(archive, "CT1"), files).send_all()
    await wait_for(archive, 3)
    references = [(file.sop_class_uid, file.sop_instance_uid) for file in files]
    assert (await ask(named(archive, "CT1"), references, wait=30.0, timeout=30.0))[0] == 0
    await reported(archive)
    (ended, *_) = await until_listed(archive, 1, "--ae", "CT1")
    uid, dataset = uids_of(files[0])[0], pydicom.dcmread(files[0].path)
    for term in (uid, dataset.SeriesInstanceUID, files[1].sop_instance_uid, "PID7", "A1"):
        code, answer, words = await where(archive, term)
        assert code == 0
        (account,) = answer["accounts"]
        assert (account["study_instance_uid"], account["searchable"], account["unread"]) == (uid, 3, 0)
        (arrival,) = account["arrivals"]
        assert (arrival["calling_ae_title"], arrival["peer_address"], arrival["instances"]) == ("CT1", "127.0.0.1", 3)
        assert (arrival["outcome"], arrival["called_ae_title"]) == ("released", "GANTRY")
        assert arrival["trace"] in ended["trace"]
        (commitment,) = account["commitments"]
        assert (commitment["instances"], commitment["failed"], commitment["delivered"]) == (3, 0, True)
        assert answer["advice"] == {uid: []}
        assert "to do" not in words
    deleted = await asyncio.to_thread(gantry, archive, "delete", uid, "--reason", "sent twice")
    assert deleted.returncode == 0
    for term in (uid, files[1].sop_instance_uid, "PID7", " A1 "):
        code, answer, words = await where(archive, term)
        (account,) = answer["accounts"]
        assert (account["searchable"], account["deleted"], account["restorable"]) == (0, 3, 3)
        assert "sent twice" in words
        assert f"to do: it can be brought back: gantry undelete {uid}" in words
    code, _, words = await where(archive, "PID*")
    assert (code, "without wildcards" in words) == (1, True)
    assert archive.stop() == 0


async def test_a_patient_whose_id_was_changed_is_found_by_every_id_he_had(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive(lab=False)
    archive.write_policy([*PEERS], SEALING)
    archive.start()
    files = study(tmp_path / "files", 1, name=NAME, patient="PID7")
    await Modality(named(archive, "CT1"), files).send_all()
    await wait_for(archive, 1)
    for prior, into in (("PID7", "PID8"), ("PID8", "PID9")):
        merged = await asyncio.to_thread(gantry, archive, "change-id", prior, "--to", into, "--reason", "mistyped")
        assert merged.returncode == 0, merged.stderr
    for term, ids in (("PID7", ["PID8", "PID9"]), ("PID8", ["PID9"]), ("PID9", [])):
        code, answer, words = await where(archive, term)
        assert (code, answer["merged"]) == (0, ids)
        assert [account["study_instance_uid"] for account in answer["accounts"]] == [uids_of(files[0])[0]]
        assert (f"Patient ID {term} has become PID" in words) == bool(ids)
    assert archive.stop() == 0


async def test_it_is_said_to_whom_a_study_was_delivered_and_to_whom_not(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive(lab=False)
    viewer = "{ae_title: VIEWER1, host: 127.0.0.1, port: 9, may: [find, retrieve], move_destination: true}"
    archive.write_policy([*PEERS, viewer], SEALING)
    archive.start()
    files = study(tmp_path / "files", 3, name=NAME, patient="PID7")
    await Modality(named(archive, "CT1"), files).send_all()
    peer, uid = named(archive, "VIEWER1"), uids_of(files[0])[0]
    await wait_for(archive, 3, peer=peer)
    _, answer, words = await where(archive, uid)
    assert "nobody has got anything of it" in words
    assert len(await get(peer, tmp_path / "got", "STUDY", f"StudyInstanceUID={uid}")) == 3
    # Nobody listens at the viewer's port.
    async with connect(peer, [(STUDY_ROOT_MOVE, BOTH)]) as association:
        query = encode(identifier("STUDY", [f"StudyInstanceUID={uid}"]), scu.need_context(association, STUDY_ROOT_MOVE))
        answers = [
            response async for response, _ in scu.move(association, STUDY_ROOT_MOVE, query, "VIEWER1", timeout=60.0)
        ]
    assert answers[-1].status != 0
    url = f"http://127.0.0.1:{archive.http_port}/dicom-web/studies/{uid}/metadata"
    for _ in range(3):
        with urllib.request.urlopen(url) as response:
            assert response.status == 200
    async with asyncio.timeout(60):
        while len((answer := (await where(archive, uid))[1])["accounts"][0]["deliveries"]) < 3:
            await asyncio.sleep(0.2)
    by_way = {delivery["over"]: delivery for delivery in answer["accounts"][0]["deliveries"]}
    assert (by_way["C-GET"]["receiver"], by_way["C-GET"]["completed"], by_way["C-GET"]["failed"]) == ("VIEWER1", 3, 0)
    failed = by_way["C-MOVE"]
    assert (failed["receiver"], failed["completed"], failed["failed"], "VIEWER1" in failed["why"]) == (
        "VIEWER1", 0, 3, True,
    )  # fmt: skip
    assert (by_way["DICOMweb"]["peer_address"], by_way["DICOMweb"]["times"]) == ("127.0.0.1", 1)
    assert archive.stop() == 0


async def test_what_is_on_the_log_and_not_indexed_and_what_never_will_be_is_said(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    archive.write_policy([], SEALING)
    archive.start()
    files = study(tmp_path / "files", 2, name=NAME)
    await publish_without_object(archive, files[0])
    (letter,) = await open_letters(archive, 1)
    code, answer, words = await where(archive, files[0].sop_instance_uid)
    assert (code, answer["dead"]) == (0, 1)
    assert answer["accounts"][0]["dead"][0]["letter"] == letter["id"]
    assert f"gantry dlq replay {letter['id']}" in words
    code, answer, words = await where(archive, "A4711")
    assert (code, answer["accounts"]) == (1, [])
    assert "1 instances could not be made searchable" in words
    assert archive.stop() == 0


@embedded
async def test_when_the_log_has_forgotten_the_segments_still_know_who_sent_it(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    archive.write_policy([], SEALING)
    archive.start()
    files = study(tmp_path / "files", 2)
    await Modality(archive.peer, files).send_all()
    await wait_for(archive, 2)
    await until(lambda: archive.metric("gantry_facts_sealed_total") >= 2)
    assert archive.stop() == 0
    for path in (archive.folder / "data").glob("log.db*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    _, answer, _ = await where(archive, uids_of(files[0])[0])
    (arrival,) = answer["accounts"][0]["arrivals"]
    assert (arrival["calling_ae_title"], arrival["peer_address"], arrival["instances"]) == ("TEST_SCU", "127.0.0.1", 2)
    # Without them, the index knows the AE title still.
    shutil.rmtree(archive.folder / "data" / "objects" / "facts")
    _, answer, _ = await where(archive, uids_of(files[0])[0])
    (arrival,) = answer["accounts"][0]["arrivals"]
    assert (arrival["calling_ae_title"], arrival["peer_address"], arrival["instances"]) == ("TEST_SCU", "", 2)


async def test_who_called_and_was_rejected_and_why_is_listed_after_a_restart_too(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive(lab=False)
    archive.write_policy(PEERS, SEALING)
    archive.start()
    for _ in range(3):
        with pytest.raises(AssociationRejected):
            async with connect(named(archive, "STRANGER"), [(VERIFICATION, BOTH)]):
                pass
    for _ in range(4):
        async with connect(named(archive, "TEST_SCU"), [(VERIFICATION, BOTH)]) as association:
            await scu.echo(association, timeout=30.0)
    (file,) = study(tmp_path / "files", 1, name=NAME)
    await Modality(named(archive, "CT1"), [file]).send_all()
    # What ended just before the archive does is not lost.
    assert archive.stop() == 0
    archive.start()
    refused = await until_listed(archive, 1, "--refused")
    assert [(refusal["calling_ae_title"], refusal["result"], refusal["diagnostic"]) for refusal in refused] == [
        ("STRANGER", 1, 3)
    ]
    assert "calling AE title" in refused[0]["why"]
    (echoed,) = await listed(archive, "--ae", "TEST_SCU")
    assert echoed["answers"] == [{"command": "C-ECHO", "status": 0, "times": 1, "why": ""}]
    (stored,) = await listed(archive, "--ae", "CT1")
    assert stored["answers"] == [{"command": "C-STORE", "status": 0, "times": 1, "why": ""}]
    assert await listed(archive, "--since", "1m", "--ae", "NOBODY") == []
    words = await asyncio.to_thread(gantry, archive, "associations")
    assert "rejected 1/1/3" in words.stdout
    assert NAME not in words.stdout
    assert archive.stop() == 0


@embedded
async def test_what_was_deleted_too_long_ago_is_not_said_to_be_restorable_and_what_was_rejected_stays_so(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive(lab=False)
    may_reject = PEERS[0].replace("commit]", "commit, reject]")
    archive.write_policy([may_reject, *PEERS[1:]], f"{SEALING}lifecycle: {{grace: 0.2}}\n")
    archive.start()
    files = study(tmp_path / "files", 2)
    await Modality(named(archive, "CT1"), files).send_all()
    await wait_for(archive, 2)
    note = write(tmp_path / "note", rejection_note([pydicom.dcmread(files[1].path)]))
    await Modality(named(archive, "CT1"), [note]).send_all()
    uid = uids_of(files[0])[0]
    assert (await asyncio.to_thread(gantry, archive, "delete", uid, "--reason", "twice")).returncode == 0
    await asyncio.sleep(0.3)
    _, answer, words = await where(archive, uid)
    counts = [answer["accounts"][0][name] for name in ("searchable", "deleted", "restorable", "rejected")]
    assert counts == [0, 1, 0, 2]  # the note, too
    assert "1 receipt is deleted, 0 of these can be restored" in words
    assert "2 receipts are rejected by a note" in words
    assert f"undelete {uid}" not in words
    refused = await asyncio.to_thread(gantry, archive, "undelete", uid, "--reason", "back")
    assert refused.returncode == 1
    wanted = (
        "what was deleted can no longer be restored; 2 rejected objects can come back one by one, by SOP Instance UID"
    )
    assert refused.stderr == f"Error: {wanted}\n"
