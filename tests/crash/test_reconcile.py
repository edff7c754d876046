"""What the index does not know of what was sealed is found, listed and told: in both topologies."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from pydicom.uid import generate_uid

from gantry.common.clock import SystemClock
from gantry.common.events import Event, InstancesDeleted, InstanceStored, ReceiptReference, encode
from gantry.common.events.segments import SealedRecord
from gantry.common.ids import Receipt
from gantry.services.maintenance.recover_event import fact_of
from gantry.services.maintenance.sealing import bare_segment, segment_key
from gantry.services.process.stores import Stores
from tests.crash.conftest import MakeArchive
from tests.crash.test_upkeep import SEALING, gantry
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, events, expect_exactly, stored_object, stores_of, until, wait_for
from tests.support.objects import study


async def told(archive: RunningArchive, *arguments: str) -> tuple[int, dict[str, Any]]:
    result = await asyncio.to_thread(gantry, archive, "reconcile", "--rate", "0", "--json", *arguments)
    assert result.stdout, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    return result.returncode, answer


async def seal_only(stores: Stores, *sealed: Event) -> None:
    """As if the index had lost it: it is sealed, and the indexers do not come to it."""
    records = [SealedRecord("instances", getattr(event, "study_instance_uid"), 1, encode(event)) for event in sealed]
    key = segment_key("default", Receipt.at(SystemClock().now_us()))
    await stores.objects.put(key, [bare_segment(records)])


async def another_of(stores: Stores, event: InstanceStored) -> InstanceStored:
    """One more instance of a study: its object is in the bucket."""
    content = await stored_object(stores, event.object_key)
    uid = str(generate_uid())[: len(event.sop_instance_uid)].ljust(len(event.sop_instance_uid), "7")
    receipt = Receipt.at(SystemClock().now_us())
    key = receipt.object_key("default")
    await stores.objects.put(key, [content.replace(event.sop_instance_uid.encode(), uid.encode())])
    return await fact_of(stores.objects, key, "default", receipt, "")


async def test_what_the_index_lost_is_found_told_again_and_there(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive()
    archive.write_policy([], SEALING)
    archive.start()
    stays, goes = study(tmp_path / "stays", 3), study(tmp_path / "goes", 2)
    await Modality(archive.peer, [*stays, *goes]).send_all()
    await wait_for(archive, 5)
    code, answer = await told(archive)
    assert (code, answer["unindexed"], answer["undecided"], answer["missing"], answer["refused"]) == (0, 0, 0, 0, 0)
    stored = {e.sop_instance_uid: e for e in await events(archive, "instances") if isinstance(e, InstanceStored)}
    gone = [stored[file.sop_instance_uid] for file in goes]
    references = tuple(ReceiptReference(e.series_instance_uid, e.sop_instance_uid, e.receipt) for e in gone)
    deletion = InstancesDeleted("default", "", gone[0].study_instance_uid, "d" * 32, references, "x", "somebody", 1)
    async with stores_of(archive) as stores:
        late = await another_of(stores, stored[stays[0].sop_instance_uid])
        without = await another_of(stores, stored[stays[1].sop_instance_uid])
        await stores.objects.delete(without.object_key)
        await seal_only(stores, late, deletion, without)
    # To look changes nothing.
    code, answer = await told(archive, "--dry-run")
    assert (code, answer["unindexed"], answer["undecided"], answer["missing"], answer["healed"]) == (1, 1, 1, 1, 0)
    assert {finding["kind"]: finding.get("instance", finding["study"]) for finding in answer["found"]} == {
        "unindexed": late.sop_instance_uid,
        "undecided": gone[0].study_instance_uid,
        "missing": without.sop_instance_uid,
    }
    await expect_exactly(archive, [*stays, *goes], tmp_path / "before")
    code, answer = await told(archive)
    assert (code, answer["healed"]) == (1, 2)
    await until(lambda: len(found_instances(archive, late.study_instance_uid)) == 4)
    assert late.sop_instance_uid in found_instances(archive, late.study_instance_uid)
    await until(lambda: not found_instances(archive, deletion.study_instance_uid))
    # Nothing is left but what nobody can bring back.
    code, answer = await told(archive)
    assert (code, answer["unindexed"], answer["undecided"], answer["missing"], answer["healed"]) == (1, 0, 0, 1, 0)
    assert archive.stop() == 0


async def test_passes_are_made_by_themselves_and_counted(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive()
    archive.write_policy([], "upkeep: {seal_every: 0.2, sweep_every: 0, reconcile_every: 1}\n")
    archive.start()
    files = study(tmp_path / "files", 2)
    await Modality(archive.peer, files).send_all()
    await wait_for(archive, 2)
    stored = next(e for e in await events(archive, "instances") if isinstance(e, InstanceStored))
    async with stores_of(archive) as stores:
        late = await another_of(stores, stored)
        await seal_only(stores, late)
    await until(lambda: late.sop_instance_uid in found_instances(archive, late.study_instance_uid))
    assert archive.metric('gantry_drift_healed_total{kind="unindexed"}') >= 1
    # The next pass finds nothing.
    await until(lambda: archive.metric('gantry_drift{kind="unindexed"}') == 0)
    assert archive.stop() == 0


def found_instances(archive: RunningArchive, uid: str) -> set[str]:
    status, body = archive.http(f"/dicom-web/instances?StudyInstanceUID={uid}")
    return {match["00080018"]["Value"][0] for match in json.loads(body)} if status == 200 and body else set()
