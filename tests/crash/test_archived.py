"""What a bucket has put into an archive: said to be OFFLINE, asked for once when somebody wants it, and there when it
has come. Against a small server that answers as S3 does in this case."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from gantry.cli.commit import ask as ask_commitment
from gantry.cli.identifiers import BOTH, encode, identifier
from gantry.cli.retrieve import FolderService, get_to
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_GET, STUDY_ROOT_MOVE
from gantry.common.dimse import Element
from gantry.common.net import connect, scu
from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_deletion import DESTINATION, send
from tests.crash.test_tiers import OLD, REST, availability, raw, told, two_ages
from tests.crash.test_upkeep import gantry
from tests.support.archive import RunningArchive
from tests.support.archiving_s3 import ArchivingS3, archiving_s3
from tests.support.asking import get, uids_of
from tests.support.objects import CT, bytes_of


@pytest.fixture
def glacier() -> Iterator[ArchivingS3]:
    with archiving_s3() as server:
        yield server


def frozen(make_archive: MakeArchive, glacier: ArchivingS3) -> RunningArchive:
    archive = make_archive()
    secret = archive.folder / "secret"
    secret.write_text("secret")
    s3 = f"s3: {{endpoint: '{glacier.endpoint}', access_key: key, secret_key_file: {secret}}}\n"
    store = "{name: cold, url: 's3://deep', availability: offline}"
    archive.write_policy(
        [DESTINATION], f"{REST}{s3}tiers: {{stores: [{store}], rules: [{OLD}], every: 0, grace: 0, rate: 0}}\n"
    )
    return archive.start()


@embedded
async def test_what_is_archived_is_offline_asked_for_once_and_there_when_it_has_come(
    make_archive: MakeArchive, tmp_path: Path, glacier: ArchivingS3
) -> None:
    archive = frozen(make_archive, glacier)
    old, new = two_ages(tmp_path)
    await send(archive, old, new)
    (state,) = await asyncio.to_thread(told, archive)
    assert (state["moved"], state["left"], len(glacier.objects)) == (3, 3, 3)
    assert await availability(archive, old) == {"OFFLINE"}
    assert await availability(archive, new) == {"ONLINE"}
    uid, series = uids_of(old[0])
    # Not archived yet it is read as any other.
    assert len(await get(archive.peer, tmp_path / "got", "STUDY", f"StudyInstanceUID={uid}")) == 3
    glacier.archive()
    # Whoever looks after objects asks for none of them back, and takes none of them for lost.
    result = await asyncio.to_thread(gantry, archive, "verify", "--json")
    assert result.returncode == 0, result.stderr
    assert (json.loads(result.stdout)["archived"], json.loads(result.stdout)["objects"]) == (3, 2)
    references = [(file.sop_class_uid, file.sop_instance_uid) for file in old]
    _, _, report = await ask_commitment(archive.peer, references, wait=30.0, timeout=30.0, transaction=generate_uid())
    assert report is not None
    assert {item.FailureReason for item in report.FailedSOPSequence} == {0x0110}
    assert glacier.asked == []
    # Whoever wants it gets the truth, over DICOM and over HTTP, and it is asked for once.
    for _ in range(2):
        final = await get_to(
            archive.peer,
            FolderService(tmp_path, [CT]),
            [(CT, ("1.2.840.10008.1.2.1",))],
            STUDY_ROOT_GET,
            "STUDY",
            (f"StudyInstanceUID={uid}",),
            timeout=60.0,
        )
        assert final is not None
        assert (final.status, final.number(Element.FAILED_SUB_OPERATIONS)) == (0xA702, 3)
        assert final.text(Element.ERROR_COMMENT).startswith("OFFLINE: asked for")
    assert sorted(glacier.asked) == sorted(glacier.objects)
    path = f"/dicom-web/studies/{uid}/series/{series}/instances/{old[0].sop_instance_uid}"
    for below in ("?accept=application/dicom", "/frames/1?accept=application/octet-stream", "/rendered", "/metadata"):
        status, body = raw(archive, path + below)
        assert (status, b"archive" in body) == (503, True), (below, status, body)
    assert len(glacier.asked) == 3
    result = await asyncio.to_thread(gantry, archive, "tiers", "--dry-run")
    assert result.stdout.count("is on its way") == 3, result.stdout + result.stderr
    glacier.thaw()
    result = await asyncio.to_thread(gantry, archive, "tiers", "--dry-run")
    assert result.stdout.count("can be read") == 3
    assert await get(archive.peer, tmp_path / "again", "STUDY", f"StudyInstanceUID={uid}") == {
        file.sop_instance_uid: bytes_of(file) for file in old
    }
    assert archive.metric("gantry_objects_lost_total") == 0
    assert archive.metric("gantry_objects_brought_back_total") == 3
    assert archive.stop() == 0


@embedded
async def test_the_answer_to_a_web_client_says_when_to_come_again(
    make_archive: MakeArchive, tmp_path: Path, glacier: ArchivingS3
) -> None:
    archive = frozen(make_archive, glacier)
    old, new = two_ages(tmp_path)
    await send(archive, old, new)
    await asyncio.to_thread(told, archive)
    glacier.archive()
    url = f"http://127.0.0.1:{archive.http_port}/dicom-web/studies/{uids_of(old[0])[0]}"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url, timeout=20).close()
    assert (refused.value.code, refused.value.headers["Retry-After"]) == (503, "3600")
    # C-MOVE says the same: nothing was sent, and why. Nobody even calls the destination twice for it.
    async with connect(archive.peer, [(STUDY_ROOT_MOVE, BOTH)]) as association:
        query = encode(
            identifier("STUDY", [f"StudyInstanceUID={uids_of(old[0])[0]}"]),
            scu.need_context(association, STUDY_ROOT_MOVE),
        )
        statuses = [
            answer.status async for answer, _ in scu.move(association, STUDY_ROOT_MOVE, query, "DEST", timeout=60.0)
        ]
    assert statuses[-1] == 0xA702
    assert archive.stop() == 0
