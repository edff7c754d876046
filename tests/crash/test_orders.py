"""Orders and procedure steps that were acknowledged are there, whatever is killed or lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydicom.uid import generate_uid

from tests.crash.conftest import MakeArchive
from tests.crash.test_upkeep import SEALING, gantry, lose_log_and_index, until_sealed
from tests.support.archive import RunningArchive
from tests.support.modality import Modality, begun, over, refers
from tests.support.worklist import OrdersClient, ordered, scheduled

SETTINGS = f"{SEALING}http: {{may_order: [loopback]}}\norders: {{idle_days: 0}}\n"


def archive_of(make_archive: MakeArchive) -> RunningArchive:
    archive = make_archive()
    archive.write_policy([], SETTINGS)
    return archive


def everything(archive: RunningArchive) -> list[Any]:
    """All orders, what happened to each, and what was performed."""
    orders = OrdersClient(archive)
    every = orders.ask("GET")[1]
    keys = [order["00080050"]["Value"][0] for order in every]
    return [every, *(orders.ask("GET", f"/{key}/{part}")[1] for key in keys for part in ("history", "performed"))]


def a_day(archive: RunningArchive) -> None:
    """Orders that are changed and cancelled, and steps that are begun and over."""
    orders = OrdersClient(archive)
    placed = [ordered(number, scheduled("S1"), scheduled("S2")) for number in range(1, 6)]
    orders.place(*placed)
    assert orders.ask("PATCH", "/A1", {"00100020": {"vr": "LO", "Value": ["P9"]}})[0] == 200
    assert orders.ask("DELETE", "/A2?reason=x")[0] == 200
    assert orders.ask("PATCH", "/A2", {"00100020": {"vr": "LO", "Value": ["P9"]}})[0] == 409
    with Modality(archive.port) as modality:
        uid = generate_uid()
        assert modality.create(uid, begun([refers(placed[2], 0), refers(placed[2], 1)])).Status == 0
        assert modality.create(uid, begun([refers(placed[3])])).Status == 0x0111
        assert modality.set(uid, over("DISCONTINUED")).Status == 0
        assert modality.create(generate_uid(), begun([refers(placed[4])])).Status == 0


async def test_what_was_acknowledged_is_there_after_a_kill(make_archive: MakeArchive) -> None:
    archive = archive_of(make_archive).start()
    await asyncio.to_thread(a_day, archive)
    before = everything(archive)
    archive.kill()
    archive.start()
    assert everything(archive) == before
    states = {number: OrdersClient(archive).states(f"A{number}") for number in range(1, 6)}
    assert states == {
        1: {"S1": "SCHEDULED", "S2": "SCHEDULED"},
        2: {"S1": "CANCELLED", "S2": "CANCELLED"},
        3: {"S1": "DISCONTINUED", "S2": "DISCONTINUED"},
        4: {"S1": "SCHEDULED", "S2": "SCHEDULED"},
        5: {"S1": "STARTED", "S2": "SCHEDULED"},
    }


async def test_the_bucket_alone_has_orders_and_procedure_steps(make_archive: MakeArchive) -> None:
    archive = archive_of(make_archive).start()
    await asyncio.to_thread(a_day, archive)
    before = everything(archive)
    await until_sealed(archive)
    assert archive.stop() == 0
    lose_log_and_index(archive)
    result = await asyncio.to_thread(gantry, archive, "restore")
    assert result.returncode == 0, result.stderr
    archive.start()
    assert everything(archive) == before


@pytest.mark.parametrize(("failpoint", "is_stored"), [("before-publish", False), ("before-answer", True)])
async def test_a_modality_that_got_no_answer_asks_again(
    make_archive: MakeArchive, failpoint: str, is_stored: bool
) -> None:
    """Nothing was promised: the step is there or not, and the second answer says which."""
    archive = archive_of(make_archive).start()
    order = ordered(1)
    await asyncio.to_thread(OrdersClient(archive).place, order)
    assert archive.stop() == 0
    archive.start(failpoints=f"{failpoint}=kill")
    uid = generate_uid()

    def create() -> Any:
        with Modality(archive.port) as modality:
            return modality.create(uid, begun([refers(order)])).get("Status")

    assert await asyncio.to_thread(create) is None
    archive.wait_dead()
    archive.start()
    assert OrdersClient(archive).states("A1") == {"S1": "STARTED" if is_stored else "SCHEDULED"}
    assert await asyncio.to_thread(create) == (0x0111 if is_stored else 0x0000)
    assert OrdersClient(archive).states("A1") == {"S1": "STARTED"}
