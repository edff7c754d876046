"""Links for people outside are facts: from the bucket alone they stand and fall as before."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.crash.conftest import MakeArchive
from tests.crash.test_upkeep import gantry, lose_log_and_index, until_sealed
from tests.support.sharing import filled, until


async def test_links_are_restored_from_the_bucket_alone(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive(lab=False)
    ward = await asyncio.to_thread(filled, archive, tmp_path, "upkeep: {seal_every: 0.2}\n")
    stands, revoked = ward.shared("doc", openings=2), ward.shared()
    brings, others = ward.let_in(stands[1]), ward.let_in(revoked[1])
    assert ward.ask("doc", f"/dicom-web/shares/{revoked[0]}", "DELETE").status == 204
    assert archive.kill() is None
    archive.start()
    # Killed and started again, nothing is forgotten.
    assert (ward.find_studies(brings), ward.found_status(others)) == ({"1.2.9.1"}, 403)
    await until_sealed(archive)
    assert archive.stop() == 0
    lose_log_and_index(archive)
    restored = await asyncio.to_thread(gantry, archive, "restore")
    assert restored.returncode == 0, restored.stderr
    archive.start()
    await asyncio.to_thread(until, lambda: ward.find_studies(brings) == {"1.2.9.1"})
    assert ward.found_status(others) == 403
    assert ward.enter(revoked[1]).status == 410
    # One of two openings was used up before.
    assert [ward.enter(stands[1]).status for _ in range(2)] == [303, 410]
    assert archive.stop() == 0
