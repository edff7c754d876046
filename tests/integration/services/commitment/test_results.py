"""Results of storage commitment over HTTP: kept under a key that no UID from outside can choose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.clock import SystemClock
from gantry.common.errors import Corrupt
from gantry.common.events import CommitmentFailure, CommitmentReference
from gantry.services.commitment.results import ROOT, CommitmentResult, Results, pack, result_of, unpack
from gantry.services.commitment.snapshots import Snapshots
from gantry.services.commitment.transactions import Snapshot
from tests.support.facts import requested

REQUEST = replace(requested("1.5"), references=(CommitmentReference("1.9", "1.1"), CommitmentReference("1.9", "1.2")))
FAILED = CommitmentFailure("1.9", "1.2", 0x0112)


def test_a_result_has_each_instance_in_one_of_two_lists() -> None:
    assert result_of(REQUEST, [FAILED]) == CommitmentResult("1.5", REQUEST.references[:1], (FAILED,))


def test_a_result_is_read_as_it_was_packed_and_damage_is_told() -> None:
    content = pack(result_of(REQUEST, [FAILED]))
    assert unpack(content) == result_of(REQUEST, [FAILED])
    for damaged in (content[:-1], content[:80] + b"x" + content[81:], b"", b"junk"):
        with pytest.raises(Corrupt):
            unpack(damaged)


async def test_a_result_is_stored_below_its_own_root(tmp_path: Path) -> None:
    store = await open_file_store(tmp_path, low_water=0)
    results = Results(store)
    assert await results.read("1.5") is None
    await results.write(REQUEST, [FAILED])
    assert await results.read("1.5") == result_of(REQUEST, [FAILED])
    (stat,) = [stat async for stat in store.list(ROOT)]
    assert "1.5" not in stat.key
    await store.close()


async def test_snapshots_of_transactions_leave_results_alone_and_are_found_beside_them(tmp_path: Path) -> None:
    store = await open_file_store(tmp_path, low_water=0)
    results, snapshots = Results(store), Snapshots(store, SystemClock())
    uids = [f"1.5.{n}" for n in range(5)]
    for uid in uids:
        await results.write(replace(REQUEST, transaction_uid=uid), [])
    for since in range(5):
        await snapshots.write(Snapshot(since))
    assert all([await results.read(uid) for uid in uids])
    latest = await snapshots.latest()
    assert latest is not None
    assert latest.since_us == 4
    await store.close()
