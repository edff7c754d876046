"""An index that is gone, or older than the log, is neither "ready" nor "empty"."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from uuid import uuid4

from tests.crash.conftest import MakeArchive, cluster, embedded
from tests.crash.test_upkeep import SEALING, done, remove_database
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, expect_exactly, until, wait_for
from tests.support.objects import study


def studies_of(archive: RunningArchive) -> tuple[int, int]:
    """The status of a QIDO search, and how many studies it found."""
    status, body = archive.http("/dicom-web/studies")
    return status, len(json.loads(body)) if status == 200 else 0


@embedded
async def test_an_embedded_index_that_is_gone_is_filled_again_by_itself(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    archive.write_policy([], SEALING)
    archive.start()
    files = [f for n in range(4) for f in study(tmp_path / "files", 10, patient=f"P{n}")]
    await Modality(archive.peer, files).send_all()
    await wait_for(archive, len(files))
    assert archive.stop() == 0
    remove_database(archive, "index.db")
    archive.start(ready=False)
    # From the first answer on: all of it, or "not now".
    answers = set()
    while (answer := studies_of(archive)) != (200, 4):
        answers.add(answer)
        assert answer[0] in (0, 503) or answer == (404, 0), answers
        await asyncio.sleep(0.02)
    archive.wait_ready()
    assert "it is rebuilt" in archive.log.read_text()
    await expect_exactly(archive, files, tmp_path / "got")
    # And once is enough.
    assert archive.stop() == 0
    archive.start()
    await expect_exactly(archive, files, tmp_path / "again")
    assert archive.log.read_text().count("what was indexed before; it is rebuilt") == 1
    assert archive.stop() == 0


@embedded
async def test_an_index_from_an_older_backup_is_filled_again(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive()
    archive.write_policy([], SEALING)
    archive.start()
    files = study(tmp_path / "files", 10)
    await Modality(archive.peer, files[:7]).send_all()
    await wait_for(archive, 7)
    assert archive.stop() == 0
    index = archive.folder / "data" / "index.db"
    shutil.copy(index, tmp_path / "backup.db")
    archive.start()
    await Modality(archive.peer, files[7:]).send_all()
    await wait_for(archive, 10)
    assert archive.stop() == 0
    remove_database(archive, "index.db")
    shutil.copy(tmp_path / "backup.db", index)
    archive.start()
    await expect_exactly(archive, files, tmp_path / "got")
    assert archive.stop() == 0


@cluster  # an embedded one is built anew by itself: the tests before
async def test_an_index_that_is_gone_is_not_ready_until_it_is_built_anew(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    archive.write_policy([], SEALING)
    archive.start()
    files = study(tmp_path / "files", 10)
    await Modality(archive.peer, files).send_all()
    await wait_for(archive, len(files))
    assert archive.stop() == 0
    # As after somebody has deleted the indices: new ones are made, and the group has committed everything.
    address = archive.environment["GANTRY_STORAGE__INDEX"].rpartition("/")[0]
    archive.environment["GANTRY_STORAGE__INDEX"] = f"{address}/r{uuid4().hex[:10]}"
    archive.start(ready=False)
    await until(lambda: "it is behind what was indexed before" in archive.http("/readyz")[1])
    assert archive.http("/readyz")[0] == 503
    assert "gantry reindex" in archive.http("/readyz")[1]
    assert studies_of(archive) == (503, 0)
    assert (await done(archive, "reindex"))["instances"] == len(files)
    archive.wait_ready()
    await expect_exactly(archive, files, tmp_path / "got")
    assert archive.stop() == 0
