"""`gantry evidence` on a whole archive: statements hold across kills, and what is changed in the bucket is found."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from gantry.common.clock import SystemClock
from gantry.common.events import FACTS
from gantry.common.ports.blobs import read_whole
from gantry.common.telemetry.metrics import Metrics
from gantry.services.maintenance.evidence.witness import SETTLED_MS, Witness, signing_keys, statement_keys
from tests.crash.conftest import MakeArchive
from tests.crash.test_upkeep import gantry, store, until_sealed
from tests.support.archive import IMPORTS, RunningArchive
from tests.support.asking import stores_of, wait_for
from tests.support.objects import study
from tests.support.preloaded import run_gantry


class Soon(SystemClock):
    """The clock of a moment from now, when everything that is sealed has settled."""

    def now_us(self) -> int:
        return super().now_us() + SETTLED_MS * 1000 + 1000


def verified(archive: RunningArchive, *arguments: str) -> tuple[int, dict[str, Any]]:
    result = gantry(archive, "evidence", "verify", "--json", *arguments)
    assert result.returncode in (0, 1), result.stderr
    return result.returncode, json.loads(result.stdout)


def new_key(archive: RunningArchive, file: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": IMPORTS}
    return run_gantry(["evidence", "new-key", str(file)], environment, archive.folder, timeout=110)


async def state(archive: RunningArchive, key: Path) -> int:
    """A statement as of a moment from now; how many segments it names."""
    async with stores_of(archive) as stores:
        made = await Witness(stores.objects, Soon(), Metrics(), "default", signing_keys(key)).state()
    return sum(len(signed.statement.segments) for signed in made)


async def test_what_was_sealed_is_stated_and_what_is_changed_is_found(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    key = tmp_path / "evidence.pem"
    made = await asyncio.to_thread(new_key, archive, key)
    assert made.returncode == 0, made.stderr
    assert (await asyncio.to_thread(new_key, archive, key)).returncode == 1  # it is not written over
    assert (key.stat().st_mode & 0o777, key.with_name("evidence.pem.pub").exists()) == (0o600, True)
    archive.write_policy([], f"upkeep: {{seal_every: 0.2}}\naudit: {{evidence_key: {key}, evidence_every: 0.2}}\n")
    archive.start()
    await store(archive, study(tmp_path / "first", 3))
    await wait_for(archive, 3)
    await until_sealed(archive)
    archive.kill()
    archive.start()
    assert await state(archive, key) > 0
    await store(archive, study(tmp_path / "second", 3, patient="P2"))
    await wait_for(archive, 6)
    await until_sealed(archive)
    assert await state(archive, key) > 0
    assert archive.stop() == 0

    # The auditor has the public key alone, and notes the digest.
    public = ("--key", f"{key}.pub")
    code, report = await asyncio.to_thread(verified, archive, *public)
    assert (code, report["wrong"], report["statements"] >= 2, report["segments"] > 0) == (0, 0, True, True)
    listed = await asyncio.to_thread(gantry, archive, "evidence", "list", "--json", *public)
    assert json.loads(listed.stdout.splitlines()[-1])["digest"] == report["head"]

    async with stores_of(archive) as stores:
        segment, *_ = [stat.key async for stat in stores.objects.list(f"{FACTS}/")]
        content = await read_whole(stores.objects, segment)
        await stores.objects.put(segment, [content + b" "])
        newest = [name async for name in statement_keys(stores.objects, "default")][-1]
        await stores.objects.delete(newest)
    code, after = await asyncio.to_thread(verified, archive, *public, "--noted", report["head"])
    words = dict(after["findings"])
    assert (code, words[segment]) == (1, "it was changed")
    assert words[report["head"]].startswith("no statement has this digest")


async def test_without_a_key_the_command_says_how_to_make_one(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive().start()
    assert archive.stop() == 0
    result = await asyncio.to_thread(gantry, archive, "evidence", "state")
    assert result.returncode == 1
    assert "gantry evidence new-key" in result.stderr
    archive.write_policy([], f"audit: {{evidence_key: {tmp_path / 'nothing'}}}\n")
    result = await asyncio.to_thread(gantry, archive, "evidence", "verify")
    assert result.returncode == 1
    assert "no signing key can be read there" in result.stderr
