"""What is stored, counted on the whole archive, in both topologies: by modality and by who sent it, to the byte."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gantry.cli.files import DicomFile
from tests.crash.conftest import MakeArchive
from tests.crash.test_upkeep import done, gantry
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, uids_of, wait_for
from tests.support.dicomweb import ask_json
from tests.support.objects import bytes_of, study

pytestmark = pytest.mark.timeout(240)


def size_of(files: list[DicomFile]) -> int:
    return sum(len(bytes_of(file)) for file in files)


async def send(archive: RunningArchive, sender: str, files: list[DicomFile]) -> None:
    await Modality(replace(archive.peer, calling_ae_title=sender), files).send_all()


async def test_what_is_stored_is_counted_by_modality_sender_and_month(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    settings = "upkeep: {usage_every: 0.5}\nhttp: {may_operate: [loopback]}\n"
    archive.write_policy([], settings)
    archive.start()
    ct = study(tmp_path / "ct", 4, series=2, patient="P1")
    mr = study(tmp_path / "mr", 3, patient="P2", Modality="MR", size=128)
    more = study(tmp_path / "more", 2, patient="P3")
    await send(archive, "CT1", ct)
    await send(archive, "CT1", ct)  # again: it lies there once
    await send(archive, "MR1", [*mr, *more])
    await wait_for(archive, 9)
    this_month = datetime.now(UTC).strftime("%Y-%m")
    usage = await done(archive, "usage", "--count")
    assert usage["modalities"] == {"CT": [6, size_of([*ct, *more])], "MR": [3, size_of(mr)]}
    assert usage["senders"] == {"CT1": [4, size_of(ct)], "MR1": [5, size_of([*mr, *more])]}
    assert usage["months"] == {this_month: [9, size_of([*ct, *mr, *more])]}
    assert (usage["studies"], usage["instances"], usage["bytes"]) == (3, 9, size_of([*ct, *mr, *more]))
    # What is deleted is not counted any more, by the archive itself, and Operations shows it.
    gone = await asyncio.to_thread(gantry, archive, "delete", uids_of(mr[0])[0], "--reason", "sent twice")
    assert gone.returncode == 0, gone.stderr
    async with asyncio.timeout(60):
        while True:
            health = await asyncio.to_thread(ask_json, archive, "/dicom-web/operations/health")
            if health["usage"] and health["usage"]["modalities"] == {"CT": [6, size_of([*ct, *more])]}:
                break
            await asyncio.sleep(1)
    shown = await asyncio.to_thread(gantry, archive, "usage")
    assert "6 instances" in shown.stdout
    assert [line.split() for line in shown.stdout.splitlines() if line.startswith("MR1")] == [
        ["MR1", "2", *shown.stdout.split("MR1")[1].split()[1:3]]
    ]
    assert archive.metric("gantry_counted_bytes") == size_of([*ct, *more])
    assert archive.stop() == 0


async def test_nothing_counted_is_said_in_words(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive()
    archive.write_policy([], "upkeep: {usage_every: 0}\n")
    archive.start()
    assert archive.stop() == 0
    result = await asyncio.to_thread(gantry, archive, "usage")
    assert (result.returncode, "nothing was counted yet" in result.stderr) == (1, True), result.stderr
    counted = await done(archive, "usage", "--count")
    assert (counted["instances"], counted["modalities"]) == (0, {})
