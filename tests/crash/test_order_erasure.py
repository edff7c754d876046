"""After an order was erased no byte of a marked name is left anywhere that we write, whatever is killed on the way."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid

from gantry.common.ids import ORDER_VALUES
from gantry.services.process.stores import Stores
from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_deletion import done as run_command
from tests.crash.test_erasure import SETTINGS as DELETING
from tests.crash.test_erasure import bytes_of, collected, forget_what_is_old
from tests.crash.test_hl7 import PROFILE, told
from tests.crash.test_upkeep import gantry, lose_log_and_index, until_sealed
from tests.support.archive import RunningArchive
from tests.support.asking import Modality as Sender
from tests.support.asking import find_matches, stores_of, uids_of, until, wait_for
from tests.support.messages import order as message
from tests.support.modality import Modality, begun, over, refers, unscheduled
from tests.support.objects import study
from tests.support.ports import free_port
from tests.support.worklist import OrdersClient, ordered, scheduled

MARKS = (b"P-GONE", b"MARKED", b"marked", b"Marked")
SETTINGS = (
    DELETING.replace("may_delete: [loopback]", "may_delete: [loopback], may_order: [loopback]")
    + "orders: {idle_days: 0, erase_every: 0.5, erase_rate: 1000}\n"
)
GONE = {"PatientName": "Marked^Name", "PatientID": "P-GONE"}
ERASE = "?erase=true&reason=the+law"


def archive_of(make_archive: MakeArchive, settings: str = SETTINGS) -> RunningArchive:
    archive = make_archive()
    archive.write_policy([], settings)
    return archive


async def values_left(archive: RunningArchive) -> int:
    async with stores_of(archive) as stores:
        return await values_in(stores)


async def values_in(stores: Stores) -> int:
    return len([stat async for stat in stores.objects.list(f"{ORDER_VALUES}/")])


async def marks_left(archive: RunningArchive) -> list[bytes]:
    everything = await bytes_of(archive)
    assert b"P-STAYS" in everything
    return [mark for mark in MARKS if mark in everything]


def perform(archive: RunningArchive, references: list[Any], *, end: bool = True) -> None:
    with Modality(archive.port) as modality:
        uid = generate_uid()
        assert modality.create(uid, begun(references, **GONE)).Status == 0
        if end:
            assert modality.set(uid, over("COMPLETED")).Status == 0


def a_marked_case(archive: RunningArchive) -> None:
    """An order of somebody who stays, and a marked one that is changed, performed, and refused something."""
    orders = OrdersClient(archive)
    marked = ordered(1, scheduled("S1"), scheduled("S2"), **GONE)
    orders.place(ordered(2, PatientID="P-STAYS"), marked)
    assert orders.ask("PATCH", "/A1", {"00102160": {"vr": "SH", "Value": ["marked"]}})[0] == 200
    perform(archive, [refers(marked, 0), refers(marked, 1)])
    assert orders.ask("DELETE", "/A1?reason=x")[0] == 200
    assert orders.ask("PATCH", "/A1", {"00104000": {"vr": "LT", "Value": ["Marked, and refused"]}})[0] == 409


@pytest.mark.timeout(300)  # every command starts a process of its own
async def test_no_byte_of_a_name_is_left_of_an_order_that_was_erased(make_archive: MakeArchive) -> None:
    port = free_port()
    archive = archive_of(make_archive, SETTINGS + f"hl7: {{port: {port}, profiles: [{PROFILE}]}}\n").start()
    await asyncio.to_thread(a_marked_case, archive)
    by_hl7 = message(pid={3: "P-GONE^^^HOSP^MR", 5: "MARKED^HL7"})
    assert (await told(port, by_hl7)).code == "AA"
    orders = OrdersClient(archive)
    every = orders.ask("GET")[1]
    keys = [entry["00081190"]["Value"][0].rpartition("/")[2] for entry in every if "P-GONE" in str(entry)]
    assert len(keys) == 2
    await until_sealed(archive)
    assert len(await marks_left(archive)) > 1
    for key in keys:
        assert orders.ask("DELETE", f"/{key}{ERASE}") == (204, None)
        assert orders.ask("GET", f"/{key}")[0] == 404
        (erased,) = orders.ask("GET", f"/{key}/history")[1]
        assert (erased["type"], erased["reason"]) == ("erased", "the law")
        assert orders.ask("DELETE", f"/{key}{ERASE}")[0] == 404
    await until_sealed(archive)
    assert archive.stop() == 0
    await forget_what_is_old(archive)
    assert await marks_left(archive) == []
    # Nor does the bucket alone bring anything back.
    lose_log_and_index(archive)
    result = await asyncio.to_thread(gantry, archive, "restore")
    assert result.returncode == 0, result.stderr
    archive.start()
    left = OrdersClient(archive).ask("GET")[1]
    assert [entry["00080050"]["Value"] for entry in left] == [["A2"]]
    assert OrdersClient(archive).ask("GET", "/A1/history")[1] == orders.ask("GET", "/A1/history")[1]
    assert await marks_left(archive) == []


@pytest.mark.parametrize("failpoint", ["before-publish", "before-erase", "before-answer"])
async def test_an_erasure_that_was_killed_is_done_or_can_be_asked_for_again(
    make_archive: MakeArchive, failpoint: str
) -> None:
    archive = archive_of(make_archive).start()
    await asyncio.to_thread(a_marked_case, archive)
    assert archive.stop() == 0
    archive.start(failpoints=f"{failpoint}=kill")
    answered = await asyncio.to_thread(_erase, archive)
    assert answered == 0
    archive.wait_dead()
    assert await values_left(archive) > 1 or failpoint == "before-answer"
    archive.start()
    status = OrdersClient(archive).ask("DELETE", f"/A1{ERASE}")[0]
    assert status == (204 if failpoint == "before-publish" else 404)
    # What the killed process had told of is removed by who follows the log.
    async with stores_of(archive) as stores, asyncio.timeout(60):
        while await values_in(stores) != 1:
            await asyncio.sleep(0.1)
    assert archive.stop() == 0
    await forget_what_is_old(archive)
    assert await marks_left(archive) == []


def _erase(archive: RunningArchive) -> int:
    try:
        return OrdersClient(archive).ask("DELETE", f"/A1{ERASE}")[0]
    except OSError:
        return 0


@pytest.mark.parametrize(("failpoint", "keys"), [("before-publish", ["A2"]), ("before-answer", ["A1", "A2"])])
async def test_an_order_that_was_not_answered_is_whole_or_not_there(
    make_archive: MakeArchive, failpoint: str, keys: list[str]
) -> None:
    archive = archive_of(make_archive).start(failpoints=f"{failpoint}=kill@2")
    orders = OrdersClient(archive)
    orders.place(ordered(2, PatientID="P-STAYS"))
    with pytest.raises(OSError):  # the connection ends
        await asyncio.to_thread(orders.place, ordered(1, **GONE))
    archive.wait_dead()
    # Values that no event names go after a day.
    assert await values_left(archive) == 2
    archive.start()
    entries = orders.ask("GET")[1]
    assert sorted(entry["00080050"]["Value"][0] for entry in entries) == keys
    assert all(entry["00100010"]["Value"][0]["Alphabetic"] for entry in entries)


@embedded
async def test_what_stands_in_the_way_is_said(make_archive: MakeArchive) -> None:
    archive = archive_of(make_archive).start()
    orders, marked = OrdersClient(archive), ordered(1, **GONE)
    orders.place(marked)
    assert orders.ask("DELETE", "/A1?erase=true")[0] == 400
    assert orders.ask("DELETE", f"/A1{ERASE}&step=S1")[0] == 400
    assert orders.ask("DELETE", f"/A9{ERASE}")[0] == 404
    await asyncio.to_thread(perform, archive, [refers(marked)], end=False)
    status, words = orders.ask("DELETE", f"/A1{ERASE}")
    assert (status, "a procedure step of the order is in progress" in words) == (409, True)
    done = await asyncio.to_thread(gantry, archive, "orders", "erase", "A1", "--reason", "x")
    assert done.returncode == 1
    assert "a procedure step of the order is in progress" in done.stderr
    archive.write_policy([], SETTINGS.replace("may_delete: [loopback]", "may_delete: []"))
    assert archive.stop() == 0
    archive.start()
    assert orders.ask("DELETE", f"/A1{ERASE}")[0] == 403


@embedded
async def test_the_command_line_erases_beside_a_running_archive(make_archive: MakeArchive) -> None:
    archive = archive_of(make_archive).start()
    OrdersClient(archive).place(ordered(1, **GONE))
    run_command(archive, "orders", "erase", "A1", "--reason", "the law")
    async with asyncio.timeout(10):
        while OrdersClient(archive).ask("GET", "/A1")[0] != 404:
            await asyncio.sleep(0.1)
    assert await values_left(archive) == 0


@pytest.mark.timeout(300)
async def test_an_order_goes_with_the_last_of_its_studies(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = archive_of(make_archive, SETTINGS + "completion: {quiet: 0.5}\n").start()
    files = study(tmp_path / "files", 2, patient="P-GONE", name="Marked^Name")
    await Sender(archive.peer, files).send_all()
    await wait_for(archive, 2)
    uid = uids_of(files[0])[0]
    orders = OrdersClient(archive)
    orders.place(ordered(1, StudyInstanceUID=uid, **GONE), ordered(2, PatientID="P-STAYS"))
    await asyncio.to_thread(perform, archive, [unscheduled(uid)])
    assert orders.states("A1") == {"S1": "COMPLETED"}
    assert len(await find_matches(archive.peer, "STUDY", f"StudyInstanceUID={uid}")) == 1
    assert orders.ask("GET", "/A1")[0] == 200
    run_command(archive, "purge", uid, "--reason", "the law", "--yes")
    await collected(archive, 2)
    async with asyncio.timeout(60):
        while orders.ask("GET", "/A1")[0] != 404:
            await asyncio.sleep(0.2)
    assert orders.ask("GET", "/A1/history")[1][0]["reason"] == "its studies are deleted for good"
    assert archive.metric("gantry_orders_erased_total") >= 2
    assert orders.ask("GET", "/A2")[0] == 200
    await until(lambda: archive.metric("gantry_consumer_lag") == 0)
    # Arrivals of studies that are not complete are needed yet.
    await until(lambda: archive.metric("gantry_studies_open") == 0)
    await until_sealed(archive)
    assert await values_left(archive) == 1
    assert archive.stop() == 0
    await forget_what_is_old(archive)
    assert await marks_left(archive) == []
