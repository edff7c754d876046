"""Orders behind the front door: two processes of the role, and an association that mixes roles."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage, ModalityWorklistInformationFind

from tests.support.door import FrontDoor
from tests.support.modality import Modality, begun, over, refers
from tests.support.worklist import OrdersClient, ordered, scheduled

NUMBERS = count(1)
ALONE = dict.fromkeys(("ingest", "query", "retrieve", "commitment"), 0)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontDoor]:
    running = FrontDoor(tmp_path_factory.mktemp("orders-door"), lab=True, scale={**ALONE, "orders": 2})
    running.write_policy([], "http: {may_order: [loopback]}\norders: {idle_days: 0}\n")
    running.start()
    yield running
    assert running.stop() == 0


def until(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_worklist_steps_and_orders_go_through_the_door(door: FrontDoor) -> None:
    orders, order = OrdersClient(door), ordered(next(NUMBERS), scheduled("S1"), scheduled("S2"))
    orders.place(order)
    before = door.passed_on().get("orders", 0)
    uid = generate_uid()
    with Modality(door.port) as modality:
        until(lambda: len(modality.worklist(AccessionNumber=order.AccessionNumber)) == 2)
        assert modality.create(uid, begun([refers(order)])).Status == 0
    with Modality(door.port) as modality:
        until(lambda: modality.get(uid)[0].Status == 0)
        assert modality.set(uid, over()).Status == 0
    until(lambda: orders.states(order.AccessionNumber) == {"S1": "COMPLETED", "S2": "SCHEDULED"})
    assert door.passed_on()["orders"] == before + 2


def test_orders_are_read_as_fhir_through_the_door(door: FrontDoor) -> None:
    order = ordered(next(NUMBERS))
    OrdersClient(door).place(order)
    # The other process of the role follows.
    until(lambda: door.http(f"/fhir/r4/ServiceRequest/{order.AccessionNumber}")[0] == 200)


def test_two_processes_that_are_asked_at_once_agree(door: FrontDoor) -> None:
    """Half of these end at each process: one is told that it created the step, whichever it is."""
    order = ordered(next(NUMBERS))
    OrdersClient(door).place(order)
    uid = generate_uid()

    def create(_: int) -> int:
        with Modality(door.port) as modality:
            return int(modality.create(uid, begun([refers(order)])).Status)

    with ThreadPoolExecutor(8) as senders:
        statuses = sorted(senders.map(create, range(8)))
    assert statuses == [0x0000] + [0x0111] * 7
    counted = [process.metric("gantry_step_requests_total") for process in door.parts["orders"]]
    assert all(counted), "each process was asked"
    for _ in range(10):  # whichever of the two answers
        until(lambda: OrdersClient(door).states(order.AccessionNumber) == {"S1": "STARTED"})


def test_a_modality_that_stores_too_gets_a_process_that_plays_both(door: FrontDoor) -> None:
    before = door.passed_on().get("mixed", 0)
    ae = AE(ae_title="CT1")
    ae.add_requested_context(CTImageStorage)
    ae.add_requested_context(ModalityWorklistInformationFind)
    association = ae.associate("127.0.0.1", door.port, ae_title="GANTRY")
    assert {context.abstract_syntax for context in association.accepted_contexts} == {
        CTImageStorage,
        ModalityWorklistInformationFind,
    }
    association.release()
    assert door.passed_on()["mixed"] == before + 1
