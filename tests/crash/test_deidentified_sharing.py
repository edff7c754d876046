"""Links to de-identified copies, whatever is killed: a link opens when all its copies exist, and remains after a
restore from the bucket alone."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from gantry.common.deidentify.pseudonyms import Pseudonyms
from tests.crash.conftest import MakeArchive
from tests.crash.test_upkeep import gantry, lose_log_and_index, until_sealed
from tests.support.sharing import filled, until

pytestmark = pytest.mark.timeout(240)
KEY = b"a key of the tests, long enough"
SETTINGS = """deidentification: {{profiles: [{{name: teaching, key_file: {folder}/key}}]}}
upkeep: {{seal_every: 0.2}}
"""


async def test_copies_that_were_cut_off_are_made_again_and_stand_after_a_restore(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    (tmp_path / "key").write_bytes(KEY)
    uid = Pseudonyms(KEY).uid("1.2.9.1")
    archive = make_archive(lab=False)
    ward = await asyncio.to_thread(filled, archive, tmp_path, SETTINGS.format(folder=tmp_path))
    assert archive.stop() == 0
    made = await asyncio.to_thread(
        gantry, archive, "share", "create", "1.2.9.1", "--deidentify", "teaching", "--reason", "teaching", "--json"
    )
    assert made.returncode == 0, made.stderr
    path = "/s/" + json.loads(made.stdout)["link"].rpartition("/")[2]
    # The copies are durable, and that is not said yet.
    archive.start(failpoints="before-publish=kill@1", ready=False)
    await asyncio.to_thread(archive.wait_dead, 60)
    archive.start()
    await asyncio.to_thread(until, lambda: ward.send(path).status == 200)
    brings = ward.let_in(path)
    assert (ward.find_studies(brings), ward.reads(f"{uid}/rendered", brings)) == ({uid}, 200)
    archive.kill()
    archive.start()
    assert (ward.find_studies(brings), ward.reads(f"{uid}/rendered", brings)) == ({uid}, 200)
    await until_sealed(archive)
    assert archive.stop() == 0
    lose_log_and_index(archive)
    restored = await asyncio.to_thread(gantry, archive, "restore")
    assert restored.returncode == 0, restored.stderr
    archive.start()
    await asyncio.to_thread(until, lambda: ward.found_status(brings) == 200 and ward.find_studies(brings) == {uid})
    assert ward.reads(f"{uid}/metadata", brings) == 200
    machine = {"Authorization": "Bearer 0123456789abcdef-machine"}
    assert uid not in ward.find_studies(machine)
    assert archive.stop() == 0
