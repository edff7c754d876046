"""Studies are linked to orders: seen in images, worklist and procedure steps, undone exactly, whatever is killed or
lost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import generate_uid

from gantry.cli.files import DicomFile
from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_corrections import ask, metadata, part10, shown
from tests.crash.test_deletion import send
from tests.crash.test_upkeep import gantry, lose_log_and_index, until_sealed
from tests.support.archive import RunningArchive
from tests.support.asking import uids_of
from tests.support.modality import Modality, begun, over, refers
from tests.support.objects import study
from tests.support.worklist import OrdersClient, ordered

SETTINGS = (
    "http: {may_order: [loopback], may_correct: [loopback]}\n"
    "upkeep: {seal_every: 0.2, sweep_every: 0.5, sweep_grace: 0.001}\n"
    "orders: {idle_days: 0}\n"
)
WHY = "?reason=wrong+worklist+entry"


def archive_of(make_archive: MakeArchive) -> RunningArchive:
    archive = make_archive()
    archive.write_policy([], SETTINGS)
    return archive.start()


async def wrong_entry(archive: RunningArchive, folder: Path) -> list[DicomFile]:
    """The patient of order A2 is in the room, and the entry of A1 is chosen; the images are of the study of A1."""
    files = study(folder, 2, series=2, patient="P1")
    for file in files:
        ds = pydicom.dcmread(file.path)
        ds.AccessionNumber = "A1"
        ds.save_as(file.path)
    await send(archive, files)
    first = ordered(1, StudyInstanceUID=uids_of(files[0])[0])

    def perform() -> None:
        OrdersClient(archive).place(first, ordered(2, IssuerOfPatientID="HOSPITAL"))
        with Modality(archive.port) as modality:
            uid = generate_uid()
            assert modality.create(uid, begun([refers(first)])).Status == 0
            assert modality.set(uid, over()).Status == 0

    await asyncio.to_thread(perform)
    return files


def states(archive: RunningArchive) -> list[str]:
    return [OrdersClient(archive).states(key)["S1"] for key in ("A1", "A2")]


def listed(archive: RunningArchive) -> set[str]:
    with Modality(archive.port) as modality:
        return {str(entry.AccessionNumber) for entry in modality.worklist()}


def links(archive: RunningArchive, key: str = "A2") -> list[str]:
    status, answer = OrdersClient(archive).ask("GET", f"/{key}/studies")
    assert status == 200
    return [link["study"] for link in answer]


async def test_the_wrong_entry_is_put_right_everywhere_and_back(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = archive_of(make_archive)
    files = await wrong_entry(archive, tmp_path / "files")
    uid, orders = uids_of(files[0])[0], OrdersClient(archive)
    before = [await shown(archive, uid), [part10(archive, file) for file in files]]
    assert states(archive) == ["COMPLETED", "SCHEDULED"]
    assert listed(archive) == {"A2"}

    status, answer = orders.ask("POST", f"/A2/studies/{uid}{WHY}")
    assert (status, [link["study"] for link in answer]) == (201, [uid])
    assert await shown(archive, uid) == ("P2", "Patient^No2", "A2")
    assert states(archive) == ["SCHEDULED", "COMPLETED"]
    assert listed(archive) == {"A1"}
    assert [step["00080018"] for step in orders.ask("GET", "/A2/performed")[1]] != []
    assert orders.ask("GET", "/A1/performed") == (200, [])
    for file in files:
        dataset = part10(archive, file)
        assert (dataset.PatientID, dataset.IssuerOfPatientID, dataset.PatientBirthDate) == (
            "P2",
            "HOSPITAL",
            "19700101",
        )
        assert dataset.RequestAttributesSequence[0].RequestedProcedureID == "R2"
        assert dataset.StudyInstanceUID == uid
        original = dataset.OriginalAttributesSequence[0].ModifiedAttributesSequence[0]
        assert (original.PatientID, original.AccessionNumber) == ("P1", "A1")
        assert metadata(archive, file)["00080050"]["Value"] == ["A2"]

    assert orders.ask("DELETE", f"/A2/studies/{uid}{WHY}") == (200, [])
    assert [await shown(archive, uid), [part10(archive, file) for file in files]] == before
    assert states(archive) == ["COMPLETED", "SCHEDULED"]
    history = orders.ask("GET", "/A2/history")[1]
    assert [(event["type"], event["accepted"]) for event in history] == [
        ("placed", True), ("linked", True), ("unlinked", True),
    ]  # fmt: skip
    kinds = {change["type"] for change in ask(archive, "GET", "changes?limit=1000")[1]["changes"]}
    assert {"study-linked", "study-unlinked"} <= kinds


async def test_what_cannot_be_linked_is_told(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = archive_of(make_archive)
    files = await wrong_entry(archive, tmp_path / "files")
    uid, orders = uids_of(files[0])[0], OrdersClient(archive)
    nobody = ordered(3)
    del nobody.PatientID
    orders.place(nobody, ordered(4))
    assert orders.ask("DELETE", "/A4?reason=x")[0] == 200
    assert orders.ask("POST", f"/A2/studies/{uid}{WHY}")[0] == 201

    def told(path: str, method: str = "POST") -> tuple[int, str]:
        status, words = orders.ask(method, path)
        return status, words.strip()

    assert told(f"/A2/studies/{uid}{WHY}") == (409, "the study is linked to this order already")
    assert told(f"/A1/studies/{uid}{WHY}") == (409, "the study is linked to order A2: unlink it there first")
    assert told(f"/A4/studies/1.2.3{WHY}") == (409, "the order is cancelled; it can be placed again")
    assert told(f"/A3/studies/1.2.3{WHY}") == (400, "the order names no patient")
    assert told(f"/A1/studies/1.2.3{WHY}") == (404, "no such study or series")
    assert told(f"/A9/studies/{uid}{WHY}") == (404, "there is no such order")
    assert told(f"/A1/studies/{uid}{WHY}", "DELETE") == (404, "the study is not linked to this order")
    assert told("/A1/studies/nonsense?reason=x") == (400, "not the UID of a study")
    assert told(f"/A1/studies/{uid}") == (400, "reason: say why, as a parameter of the URL")
    assert told(f"/A1/{WHY}")[0] == 404
    assert links(archive) == [uid]
    archive.write_policy([], SETTINGS.replace("may_correct: [loopback]", "may_correct: []"))
    assert archive.stop() == 0
    archive.start()
    assert told(f"/A2/studies/{uid}{WHY}", "DELETE")[0] == 403


@pytest.mark.parametrize(
    ("failpoint", "corrected", "linked"),
    [
        ("before-publish=kill@1", False, False),
        ("before-publish=kill@2", True, False),
        ("after-publish=kill@1", True, False),
        ("before-answer=kill@1", True, True),
    ],
)
async def test_what_was_broken_off_is_done_when_it_is_asked_again(
    make_archive: MakeArchive, tmp_path: Path, failpoint: str, corrected: bool, linked: bool
) -> None:
    archive = archive_of(make_archive)
    files = await wrong_entry(archive, tmp_path / "files")
    uid = uids_of(files[0])[0]
    assert archive.stop() == 0
    archive.start(failpoints=failpoint)
    answered = await asyncio.to_thread(ask, archive, "POST", f"orders/A2/studies/{uid}{WHY}")
    assert answered[0] == 0
    archive.wait_dead()
    archive.start()
    async with asyncio.timeout(60):  # nobody asked this process to wait until it is seen
        while (await shown(archive, uid))[0] != ("P2" if corrected else "P1"):
            await asyncio.sleep(0.1)
    assert links(archive) == ([uid] if linked else [])
    again = OrdersClient(archive).ask("POST", f"/A2/studies/{uid}{WHY}")[0]
    assert again == (409 if linked else 201)
    assert await shown(archive, uid) == ("P2", "Patient^No2", "A2")
    assert states(archive) == ["SCHEDULED", "COMPLETED"]
    # It was corrected once: taken back, nothing of it is left.
    assert OrdersClient(archive).ask("DELETE", f"/A2/studies/{uid}{WHY}") == (200, [])
    assert (await shown(archive, uid))[0] == "P1"


async def test_the_bucket_alone_has_the_links(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = archive_of(make_archive)
    files = await wrong_entry(archive, tmp_path / "files")
    uid = uids_of(files[0])[0]
    assert OrdersClient(archive).ask("POST", f"/A2/studies/{uid}{WHY}")[0] == 201

    async def everything() -> list[Any]:
        return [await shown(archive, uid), links(archive), states(archive), OrdersClient(archive).ask("GET", "")]

    before = await everything()
    await until_sealed(archive)
    assert archive.stop() == 0
    lose_log_and_index(archive)
    result = await asyncio.to_thread(gantry, archive, "restore")
    assert result.returncode == 0, result.stderr
    archive.start()
    assert await everything() == before


@embedded
async def test_the_command_line_links_and_unlinks(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = archive_of(make_archive)
    files = await wrong_entry(archive, tmp_path / "files")
    uid = uids_of(files[0])[0]

    async def orders(*words: str) -> tuple[int, str]:
        done = await asyncio.to_thread(gantry, archive, "orders", *words)
        return done.returncode, done.stderr.strip().splitlines()[-1] if done.returncode else ""

    assert await orders("link", "A2", uid, "--reason", "wrong entry") == (0, "")
    assert await shown(archive, uid) == ("P2", "Patient^No2", "A2")
    assert await orders("link", "A1", uid, "--reason", "x") == (
        1, "Error: the study is linked to order A2: unlink it there first",
    )  # fmt: skip
    assert await orders("unlink", "A2", uid, "--reason", "right after all") == (0, "")
    assert (await shown(archive, uid))[0] == "P1"
