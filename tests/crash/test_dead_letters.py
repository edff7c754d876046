"""An image that cannot be made searchable: its event is listed, replayed, discarded; in both topologies.

The event is one as a restore publishes it (without the header), whose object is away: it is read from
the object, and waiting does not bring that. Mended is: the object is back.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom

from gantry.cli.files import DicomFile
from gantry.common.events import InstanceStored
from gantry.common.ids import Receipt
from gantry.services.maintenance.recover_event import fact_of
from tests.crash.conftest import MakeArchive
from tests.crash.test_upkeep import SEALING, gantry
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, expect_exactly, stores_of, until, wait_for
from tests.support.objects import study

NAME = "Secret^Jane"


async def dlq(archive: RunningArchive, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    result = await asyncio.to_thread(gantry, archive, "dlq", *arguments, "--json")
    assert NAME not in result.stdout + result.stderr
    return result.returncode, [json.loads(line) for line in result.stdout.splitlines()]


async def publish_without_object(archive: RunningArchive, file: DicomFile) -> InstanceStored:
    """The event of a file whose object is away."""
    receipt = Receipt.at(1_700_000_000_000_000)
    key = receipt.object_key("default")
    async with stores_of(archive) as stores:
        await stores.objects.put(key, [file.path.read_bytes()])
        event = await fact_of(stores.objects, key, "default", receipt, "")
        await stores.objects.delete(key)
        event = replace(event, header=None)
        await stores.log.append(event)
    return event


async def put_back(archive: RunningArchive, event: InstanceStored, file: DicomFile) -> None:
    async with stores_of(archive) as stores:
        await stores.objects.put(event.object_key, [file.path.read_bytes()])


async def open_letters(archive: RunningArchive, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(60):
        while len(letters := (await dlq(archive, "list"))[1]) != count:
            await asyncio.sleep(0.2)
    return letters


async def test_a_poisonous_event_is_listed_replayed_in_vain_mended_and_replayed(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    archive.write_policy([], SEALING)
    archive.start()
    files = study(tmp_path / "files", 3, name=NAME)
    await Modality(archive.peer, files[:2]).send_all()
    await wait_for(archive, 2)
    assert (await dlq(archive, "list")) == (0, [])
    event = await publish_without_object(archive, files[2])
    (letter,) = await open_letters(archive, 1)
    assert (letter["group"], letter["topic"], letter["state"]) == ("indexer", "instances", "open")
    assert letter["sop_instance_uid"] == files[2].sop_instance_uid
    assert "NotFound" in letter["reason"]
    # It is there after a restart, too, and the metric says so.
    assert archive.stop() == 0
    archive.start()
    await until(lambda: archive.metric("gantry_dead_letters_open") == 1)
    # Not mended: it fails again, as a new letter, and the old one is not open any more.
    code, (replayed,) = await dlq(archive, "replay", letter["id"], "--wait", "60")
    assert (code, replayed["handled"]) == (1, True)
    (again,) = await open_letters(archive, 1)
    assert again["id"] == replayed["again"]["id"] != letter["id"]
    await put_back(archive, event, files[2])
    assert (await dlq(archive, "replay", "--all", "--wait", "60"))[0] == 0
    await wait_for(archive, 3)
    await expect_exactly(archive, files, tmp_path / "got")
    assert await open_letters(archive, 0) == []
    states = [(letter["id"], letter["state"]) for letter in (await dlq(archive, "list", "--all"))[1]]
    assert states == [(letter["id"], "replayed"), (again["id"], "replayed")]
    # Once more, and it is still one instance.
    assert (await dlq(archive, "replay", again["id"], "--wait", "60"))[0] == 0
    await wait_for(archive, 3)
    assert archive.stop() == 0


async def test_a_command_that_is_killed_while_it_replays_leaves_the_letter_open(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    archive.write_policy([], SEALING)
    archive.start()
    (file,) = study(tmp_path / "files", 1)
    event = await publish_without_object(archive, file)
    (letter,) = await open_letters(archive, 1)
    await put_back(archive, event, file)
    archive.environment["GANTRY_FAILPOINTS"] = "after-replay=kill"
    died = await asyncio.to_thread(gantry, archive, "dlq", "replay", letter["id"])
    del archive.environment["GANTRY_FAILPOINTS"]
    assert died.returncode == -9
    await wait_for(archive, 1)
    assert [entry["id"] for entry in await open_letters(archive, 1)] == [letter["id"]]
    assert (await dlq(archive, "replay", letter["id"], "--wait", "60"))[0] == 0
    assert await open_letters(archive, 0) == []
    await wait_for(archive, 1)
    assert archive.stop() == 0


async def test_a_discarded_letter_stays_closed_with_its_reason(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive()
    archive.write_policy([], SEALING)
    archive.start()
    (file,) = study(tmp_path / "files", 1, name=NAME)
    await publish_without_object(archive, file)
    (letter,) = await open_letters(archive, 1)
    assert (await asyncio.to_thread(gantry, archive, "dlq", "discard", letter["id"])).returncode == 2  # no reason
    assert (await dlq(archive, "discard", letter["id"], "--reason", "sent again since"))[0] == 0
    assert archive.stop() == 0
    archive.start()
    assert await open_letters(archive, 0) == []
    shown = await asyncio.to_thread(gantry, archive, "dlq", "show", letter["id"][:6])
    assert "sent again since" in shown.stdout
    assert pydicom.dcmread(file.path).StudyInstanceUID in shown.stdout  # in one piece, to be copied
    assert NAME not in shown.stdout
    missing = await asyncio.to_thread(gantry, archive, "dlq", "replay", "ffffffffffff")
    assert (missing.returncode, "no such dead letter" in missing.stderr) == (1, True)
    assert archive.stop() == 0
