"""Looking for orders in a projection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gantry.common.adapters.sqlite.orders.index import SqliteOrders
from gantry.common.clock import SystemClock
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.errors import DependencyUnavailable
from gantry.common.lifecycle.from_orders import OrderAnswer, OrderKey, OrderOutcome, OrderQuestion
from gantry.common.runtime.order_finding import OrderFinder
from tests.support.orders import PARTITION, cancelled, linked, order, placed, step

STUDY, ACCESSION, STEP, PATIENT = OrderKey.STUDY, OrderKey.ACCESSION, OrderKey.STEP, OrderKey.PATIENT


@pytest.fixture
async def orders() -> AsyncIterator[SqliteOrders]:
    opened = SqliteOrders()
    yield opened
    await opened.close()


async def at_once() -> None:
    """Everything is read."""


async def found(orders: SqliteOrders, *by: OrderKey, **fields: Any) -> OrderAnswer:
    finder = OrderFinder(orders, at_once, SystemClock(), 1.0)
    return await finder.find(PARTITION, OrderQuestion(by, **fields))


async def place(orders: SqliteOrders, number: int, *steps: dict[int, list[Any]], **values: Any) -> None:
    own = {"AccessionNumber": f"A{number}", "StudyInstanceUID": f"1.2.{number}", **values}
    await orders.apply([placed(order(*steps, **own), f"c{number}", f"A{number}")])


def accession(answer: OrderAnswer) -> str:
    assert answer.outcome is OrderOutcome.FOUND
    return str(answer.values[TAGS["AccessionNumber"]][0])


async def test_the_first_key_that_finds_a_single_order_decides(orders: SqliteOrders) -> None:
    await place(orders, 1)
    await place(orders, 2)
    day = {"modality": "CT", "day": "20260105"}
    assert accession(await found(orders, STUDY, ACCESSION, study="1.2.1", accession="A2")) == "A1"
    assert accession(await found(orders, STUDY, ACCESSION, study="1.2.9", accession="A2")) == "A2"
    # Both are of one patient on one day: that decides nothing, and the next key may.
    assert (await found(orders, PATIENT, patient="P1", **day)).outcome is OrderOutcome.SEVERAL
    assert accession(await found(orders, PATIENT, ACCESSION, patient="P1", accession="A2", **day)) == "A2"
    assert (await found(orders, STUDY, PATIENT, study="1.2.9", patient="P9", **day)).outcome is OrderOutcome.NONE


async def test_an_order_with_several_steps_is_one_and_the_step_that_is_named_is_meant(orders: SqliteOrders) -> None:
    await place(orders, 1, step("S1"), step("S2"), step("S3", Modality="MR"))
    day = {"modality": "CT", "day": "20260105"}
    by_patient = await found(orders, PATIENT, patient="P1", **day)
    assert accession(by_patient) == "A1"
    assert len(by_patient.values[TAGS["RequestAttributesSequence"]]) == 2
    by_step = await found(orders, STEP, patient="P1", steps=("S2",), modality="CT")
    (item,) = by_step.values[TAGS["RequestAttributesSequence"]]
    assert item[TAGS["ScheduledProcedureStepID"]] == ["S2"]


async def test_steps_of_other_patients_and_issuers_are_not_meant(orders: SqliteOrders) -> None:
    await place(orders, 1, PatientID="P1", IssuerOfPatientID="NORTH")
    await place(orders, 2, PatientID="P2")
    assert (await found(orders, STEP, patient="P3", steps=("S1",))).outcome is OrderOutcome.NONE
    assert (await found(orders, STEP, patient="P1", issuer="SOUTH", steps=("S1",))).outcome is OrderOutcome.NONE
    assert accession(await found(orders, STEP, patient="P1", issuer="NORTH", steps=("S1",))) == "A1"


async def test_a_cancelled_order_is_not_there(orders: SqliteOrders) -> None:
    await place(orders, 1)
    await orders.apply([cancelled(key="A1")])
    assert (await found(orders, ACCESSION, accession="A1")).outcome is OrderOutcome.NONE


async def test_a_study_that_was_linked_is_of_that_order(orders: SqliteOrders) -> None:
    await place(orders, 1)
    await place(orders, 2)
    await orders.apply([linked("1.2.1", key="A2")])
    assert accession(await found(orders, STUDY, study="1.2.1")) == "A2"


async def test_objects_wait_once_for_orders_that_are_being_read(orders: SqliteOrders) -> None:
    await place(orders, 1)
    read = asyncio.Event()

    async def caught_up() -> None:
        await read.wait()

    question, clock = OrderQuestion((ACCESSION,), accession="A1"), SystemClock()
    finder = OrderFinder(orders, caught_up, clock, 0.2)
    begun = clock.monotonic()
    assert (await finder.find(PARTITION, question)).outcome is OrderOutcome.AWAY
    assert clock.monotonic() - begun >= 0.19
    # The time is over: nobody waits a second time.
    begun = clock.monotonic()
    assert (await finder.find(PARTITION, question)).outcome is OrderOutcome.AWAY
    assert clock.monotonic() - begun < 0.15
    read.set()
    assert accession(await finder.find(PARTITION, question)) == "A1"


async def test_orders_that_cannot_be_asked_are_away_and_nothing_raises() -> None:
    class Broken(SqliteOrders):
        def find(self, query: Any) -> Any:
            raise DependencyUnavailable("orders", "disk full")

    broken = Broken()
    assert (await found(broken, ACCESSION, accession="A1")).outcome is OrderOutcome.AWAY
    await broken.close()
