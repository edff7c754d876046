"""Promise 1 for STOW-RS: what a response names as stored is kept, wherever the archive is killed."""

from __future__ import annotations

import http.client
import signal
from pathlib import Path

import pytest

from tests.crash.conftest import MakeArchive
from tests.support.asking import Modality, expect_exactly, expect_kept
from tests.support.objects import study
from tests.support.stow import files, post


@pytest.mark.parametrize("point", ["after-blob-put", "before-publish", "after-publish", "before-answer"])
async def test_what_a_response_names_is_kept_when_the_archive_dies(
    point: str, make_archive: MakeArchive, tmp_path: Path
) -> None:
    # One answer goes out before: `before-answer` is passed once a request, the others once an object.
    number = 2 if point == "before-answer" else 7
    archive = make_archive().start(failpoints=f"{point}=kill@{number}")
    studies = [study(tmp_path / "files", 4, series=2) for _ in range(3)]
    sender = Modality(archive.peer, [file for batch in studies for file in batch])
    for batch in studies:
        try:
            answer = post(archive, files([file.path.read_bytes() for file in batch]))
        except (ConnectionError, http.client.HTTPException):
            break
        sender.acknowledged.update(answer.stored())
    assert archive.wait_dead() == -signal.SIGKILL
    assert len(sender.acknowledged) == 4
    archive.start()
    await expect_kept(archive, [sender])
    for batch in studies:
        assert post(archive, files([file.path.read_bytes() for file in batch])).status == 200
    await expect_exactly(archive, sender.files, tmp_path / "got")
    assert archive.stop() == 0


async def test_a_log_that_is_away_is_503_and_the_next_try_is_kept(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive().start(failpoints="before-publish=refuse@1")
    [file] = study(tmp_path / "files", 1)
    body = files([file.path.read_bytes()])
    away = post(archive, body)
    assert away.status == 503
    assert int(away.headers["Retry-After"]) > 0
    assert away.failures() == {file.sop_instance_uid: 0xA700}
    assert post(archive, body).status == 200
    await expect_exactly(archive, [file], tmp_path / "got")
