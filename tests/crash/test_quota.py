"""An archive with a quota of bytes, in both topologies: filled by C-STORE and STOW-RS, killed, emptied, and filled."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

from gantry.cli.files import DicomFile
from gantry.common.statuses import OUT_OF_RESOURCES, SUCCESS
from tests.crash.conftest import MakeArchive
from tests.crash.test_upkeep import done, gantry
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, expect_exactly, uids_of, until, wait_for
from tests.support.dicom import EXPLICIT
from tests.support.dicomweb import ask_json
from tests.support.objects import bytes_of, study
from tests.support.pynetdicom_peers import associated
from tests.support.stow import Answer, files, post

pytestmark = pytest.mark.timeout(300)

WORDS = "archive is full: its quota of bytes is used up"
SETTINGS = (
    "http: {may_operate: [loopback]}\n"
    "upkeep: {usage_every: 3600, seal_every: 0.2, sweep_every: 0}\n"
    "lifecycle: {collect_every: 0.3, erase_after: 0}\n"
    "storage: {quota: QUOTA}\n"
)


async def send(archive: RunningArchive, sent: list[DicomFile]) -> list[tuple[int, str]]:
    """Status and Error Comment of each, on one association."""

    def work() -> list[tuple[int, str]]:
        with associated(archive.peer, [(CTImageStorage, [EXPLICIT])]) as association:
            answers = [association.send_c_store(pydicom.dcmread(file.path)) for file in sent]
            return [(answer.Status, str(answer.get("ErrorComment", ""))) for answer in answers]

    return await asyncio.to_thread(work)


async def stow(archive: RunningArchive, sent: list[DicomFile]) -> Answer:
    return await asyncio.to_thread(post, archive, files([file.path.read_bytes() for file in sent]))


async def text_of(archive: RunningArchive) -> str:
    shown = await asyncio.to_thread(gantry, archive, "usage")
    assert shown.returncode == 0, shown.stderr
    return shown.stdout


def refusals(archive: RunningArchive) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in archive.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("event") == "refused: the quota is reached"]


async def test_an_archive_takes_what_its_quota_allows_and_again_once_there_is_room(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    first, second = study(tmp_path / "first", 6, patient="P1"), study(tmp_path / "second", 6, patient="P2")
    size = max(len(bytes_of(file)) for file in [*first, *second])
    # Ten data sets, and the file meta information with which they lie there.
    quota = 10 * (size + 600)
    archive.write_policy([], SETTINGS.replace("QUOTA", str(quota)))
    archive.start()
    assert await send(archive, first) == [(SUCCESS, "")] * 6
    answers = await send(archive, second[:4])
    assert answers == [(SUCCESS, "")] * 4
    # The eleventh and twelfth; the association goes on.
    assert await send(archive, second[4:]) == [(OUT_OF_RESOURCES, WORDS)] * 2
    refused = await stow(archive, second[4:])
    assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
    assert refused.failures() == {file.sop_instance_uid: OUT_OF_RESOURCES for file in second[4:]}
    rest = [*first, *second[:4]]
    await expect_exactly(archive, rest, tmp_path / "got")
    assert archive.http("/readyz")[0] == 200
    assert archive.metric("gantry_quota_refusals_total") == 4
    assert archive.metric("gantry_quota_bytes") == quota
    assert quota * 0.9 < archive.metric("gantry_quota_used_bytes") <= quota
    # One line for each sender, not for each object.
    assert [line["calling"] for line in refusals(archive)] == [archive.peer.calling_ae_title, "loopback"]
    health = await asyncio.to_thread(ask_json, archive, "/dicom-web/operations/health")
    assert health["quota"]["bytes"] == quota
    assert health["quota"]["used"] > quota * 0.9
    usage = (await done(archive, "usage"))["quota"]
    assert (usage["bytes"], usage["late"]) == (quota, False)
    assert usage["counted_at"] > 0
    assert "quota: " in await text_of(archive)
    assert " %)" in await text_of(archive)

    # Nothing of that is forgotten by a process that is killed.
    archive.kill()
    archive.start()
    assert await send(archive, second[4:]) == [(OUT_OF_RESOURCES, WORDS)] * 2
    await wait_for(archive, 10)

    # A study is purged, its objects are collected, and the archive takes objects again.
    words = "purge", uids_of(first[0])[0], "--reason", "to make room", "--yes"
    gone = await asyncio.to_thread(gantry, archive, *words)
    assert gone.returncode == 0, gone.stderr
    assert (await done(archive, "usage", "--count"))["instances"] == 4
    await until(lambda: archive.metric("gantry_quota_used_bytes") < quota * 0.6, 70)
    answer = await stow(archive, second[4:])
    assert (answer.status, len(answer.stored())) == (200, 2)
    await expect_exactly(archive, second, tmp_path / "after")

    # Of one request, as many as fit.
    more = study(tmp_path / "more", 8, patient="P3")
    answer = await stow(archive, more)
    assert answer.status == 202
    assert set(answer.failures().values()) == {OUT_OF_RESOURCES}
    assert len(answer.stored()) == 4
    await expect_exactly(
        archive, [*second, *(file for file in more if file.sop_instance_uid in answer.stored())], tmp_path / "all"
    )
    assert archive.stop() == 0


async def test_an_archive_that_grows_a_quota_counts_what_it_holds_already(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    archive.write_policy([], "upkeep: {usage_every: 0, seal_every: 0.2}\n")
    archive.start()
    held = study(tmp_path / "held", 4)
    await Modality(archive.peer, held).send_all()
    await wait_for(archive, 4)
    assert archive.stop() == 0
    size = sum(len(bytes_of(file)) for file in held)
    archive.write_policy([], f"upkeep: {{usage_every: 3600}}\nstorage: {{quota: {size}}}\n")
    archive.start()
    assert await send(archive, study(tmp_path / "more", 1)) == [(OUT_OF_RESOURCES, WORDS)]
    assert archive.stop() == 0


async def test_a_quota_without_counts_is_refused_by_the_settings(make_archive: MakeArchive) -> None:
    archive = make_archive()
    archive.write_policy([], "upkeep: {usage_every: 0}\nstorage: {quota: 1000}\n")
    result = await asyncio.to_thread(gantry, archive, "usage")
    assert result.returncode != 0
    assert "storage.quota needs upkeep.usage_every" in result.stderr
