"""A store that is away at the start costs what needs it, and nothing else; it is taken up when it comes."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

from tests.support import waiting as asking
from tests.support.answering import wait_for
from tests.support.archive import RunningArchive
from tests.support.objects import study


def asked(archive: RunningArchive, path: str) -> tuple[int, str | None, str]:
    """Status, Retry-After and body."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{archive.http_port}{path}", timeout=10) as response:
            return response.status, None, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Retry-After"], error.read().decode()


def test_archive_without_its_index_stores_and_becomes_whole_by_itself(tmp_path: Path) -> None:
    archive = RunningArchive(tmp_path)
    blocked = tmp_path / "data" / "index.db"
    blocked.mkdir(parents=True)
    try:
        archive.start(ready=False)
        wait_for(lambda: archive.http("/readyz")[1].startswith("index: index unavailable"), 30.0, "the archive")
        assert archive.http("/healthz")[0] == 200
        files = study(tmp_path / "sent", 2, size=16)
        asking.store(archive.peer, files)
        status, retry, line = asked(archive, "/dicom-web/studies")
        assert (status, retry) == (503, "5")
        assert line.startswith("index unavailable: ")
        status, retry, _ = asked(archive, "/dicom-web/studies/1.2.3/metadata")
        assert (status, retry) == (503, "5")
        blocked.rmdir()
        archive.wait_ready(40.0)
        asking.wait_searchable(archive.peer, asking_study(files), 2)
        assert archive.stop() == 0
    finally:
        archive.kill()


def asking_study(files: object) -> str:
    import pydicom

    return str(pydicom.dcmread(files[0].path).StudyInstanceUID)  # type: ignore[index]


def test_archive_without_its_object_store_answers_questions_and_refuses_objects(tmp_path: Path) -> None:
    archive = RunningArchive(tmp_path)
    try:
        archive.start()
        files = study(tmp_path / "sent", 2, size=16)
        asking.store(archive.peer, files)
        uid = asking_study(files)
        asking.wait_searchable(archive.peer, uid, 2)
        archive.stop()
        objects = tmp_path / "data" / "objects"
        objects.rename(tmp_path / "elsewhere")
        objects.write_text("not a folder")
        archive.start(ready=False)
        wait_for(lambda: archive.http("/readyz")[1].startswith("object store: "), 30.0, "the archive")
        assert asked(archive, f"/dicom-web/studies?StudyInstanceUID={uid}")[0] == 200
        status, retry, line = asked(archive, f"/dicom-web/studies/{uid}/metadata")
        assert (status, retry) == (503, "5")
        assert line.startswith("object store unavailable: ")
        objects.unlink()
        (tmp_path / "elsewhere").rename(objects)
        archive.wait_ready(40.0)
        assert asked(archive, f"/dicom-web/studies/{uid}/metadata")[0] == 200
    finally:
        archive.kill()
