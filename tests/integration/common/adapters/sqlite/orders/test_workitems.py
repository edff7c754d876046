"""Workitems in the projection: what its port promises of them, on SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gantry.common.adapters.sqlite.orders.index import SqliteOrders
from gantry.common.dicom.query.identifiers import Identifier
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.orders import values_key_of
from gantry.common.workitems import WorkitemQuery, WorkitemState, lock_of
from gantry.common.workitems.questions import workitem_conditions
from tests.support.workitems import (
    AT,
    MINE,
    OTHER,
    UID,
    cancel,
    created,
    done,
    erased,
    set_,
    state,
    subscribed,
    unsubscribed,
    workitem,
)

EVERY, SOME = "1.2.840.10008.5.1.4.34.5", "1.2.840.10008.5.1.4.34.5.1"


@pytest.fixture
async def orders() -> AsyncIterator[SqliteOrders]:
    opened = SqliteOrders()
    yield opened
    await opened.close()


async def found(orders: SqliteOrders, **keys: str) -> list[str]:
    conditions = workitem_conditions(Identifier({TAGS[name]: value.split("\\") for name, value in keys.items()}))
    query = WorkitemQuery("default", conditions)
    return [match.uid async for page in orders.find_workitems(query) for match in page]


async def test_an_event_is_folded_once_and_its_verdict_stays(orders: SqliteOrders) -> None:
    claims = [state("IN PROGRESS", MINE, "c1"), state("IN PROGRESS", OTHER, "c2")]
    verdicts = await orders.apply([created(), *claims])
    assert [verdicts[change].status for change in ("w1", "c1", "c2")] == [0, 0, 0xC301]
    again = await orders.apply([claims[1], claims[0]])
    assert [again[change].status for change in ("c1", "c2")] == [0, 0xC301]
    standing = await orders.workitem("default", UID)
    assert standing is not None
    assert (standing.state, standing.lock) == (WorkitemState.IN_PROGRESS, lock_of(MINE))


async def test_large_workitems_are_read_a_few_at_a_time_and_all_are_found(orders: SqliteOrders) -> None:
    """One may name every instance of a study: five hundred of those together would be a gigabyte."""
    references = [{TAGS["ReferencedSOPInstanceUID"]: [f"1.2.840.{number}"]} for number in range(30_000)]
    for number in range(7):
        values = {**workitem(), TAGS["ReferencedSOPSequence"]: references}
        await orders.apply([created(values, f"n{number}", f"1.{number}")])
    pages = [[match.uid for match in page] async for page in orders.find_workitems(WorkitemQuery("default"))]
    assert [uid for page in pages for uid in page] == [f"1.{number}" for number in range(7)]
    assert max(map(len, pages)) < 7
    assert await found(orders, SOPInstanceUID="1.6") == ["1.6"]


async def test_workitems_are_found_by_what_they_say_in_the_order_of_their_start(orders: SqliteOrders) -> None:
    starts = ["20260105093000", "20260103", "20260104120000+0100"]
    for number, start in enumerate(starts):
        values = workitem(ScheduledProcedureStepStartDateTime=start, PatientID=f"P{number % 2}")
        await orders.apply([created(values, f"n{number}", f"1.{number}")])
    await orders.apply([state("IN PROGRESS", change="s", uid="1.2"), cancel(change="x", uid="1.1")])
    assert await found(orders) == ["1.1", "1.2", "1.0"]
    assert await found(orders, ProcedureStepState="SCHEDULED") == ["1.0"]
    assert await found(orders, ProcedureStepState="IN PROGRESS\\CANCELED") == ["1.1", "1.2"]
    assert await found(orders, PatientID="P0") == ["1.2", "1.0"]
    assert await found(orders, ScheduledProcedureStepStartDateTime="20260104-20260105") == ["1.2", "1.0"]
    assert await found(orders, PatientName="doe*", SOPInstanceUID="1.0") == ["1.0"]
    assert await found(orders, WorklistLabel="NONE") == []


async def test_more_than_a_page_is_found_each_once(orders: SqliteOrders) -> None:
    await orders.apply([created(change=f"n{number}", uid=f"1.{number}") for number in range(1203)])
    assert sorted(await found(orders)) == sorted(f"1.{number}" for number in range(1203))


async def test_what_is_erased_is_gone_and_stays_gone(orders: SqliteOrders) -> None:
    event = replace(created(), values_key="order-values/default/a/b.msgpack", values_size=9)
    await orders.apply([event, erased()])
    assert await orders.workitem("default", UID) is None
    assert await orders.is_erased_workitem("default", UID)
    assert list(await orders.erased_objects(10)) == [values_key_of(event)]
    again = await orders.apply([created(change="again"), set_({}, "", "more")])
    assert [again[change].status for change in ("again", "more")] == [0x0111, 0xC307]
    assert await found(orders) == []


async def test_those_that_ended_before_a_time(orders: SqliteOrders) -> None:
    await orders.apply([created(), state("IN PROGRESS"), set_(done()), state("COMPLETED", change="end", at=AT + 5)])
    await orders.apply([created(change="o", uid="1.9")])
    assert list(await orders.ended_workitems("default", AT + 5, 10)) == []
    assert list(await orders.ended_workitems("default", AT + 6, 10)) == [UID]


async def test_workitems_are_not_taken_for_aged_orders(orders: SqliteOrders) -> None:
    """They end by themselves."""
    await orders.apply([created(), cancel()])
    assert [page async for page in orders.aged("default", AT * 2, "20990101")] == []


async def test_a_deletion_lock_keeps_what_ended_until_it_is_withdrawn(orders: SqliteOrders) -> None:
    await orders.apply([created(), subscribed(EVERY, lock=True), cancel()])
    assert list(await orders.ended_workitems("default", AT * 2, 10)) == []
    await orders.apply([created(change="o", uid="1.9"), cancel(change="x", uid="1.9"), unsubscribed(uid := "1.9")])
    assert list(await orders.ended_workitems("default", AT * 2, 10)) == [uid]
    await orders.apply([unsubscribed(EVERY, change="s9")])
    assert list(await orders.ended_workitems("default", AT * 2, 10)) == [UID, uid]


async def test_a_filter_is_erased_when_its_subscription_is_withdrawn(orders: SqliteOrders) -> None:
    keys = {TAGS["PatientID"]: ["P1"]}
    event = replace(subscribed(SOME, keys=keys), values_key="order-values/default/a/c.msgpack", values_size=9)
    await orders.apply([created(), event])
    workitem_ = await orders.workitem("default", UID)
    assert workitem_ is not None
    assert [subscription.subscriber for subscription in await orders.recipients_of(workitem_)] == ["BOARD"]
    assert list(await orders.erased_objects(10)) == []
    await orders.apply([unsubscribed(SOME)])
    assert list(await orders.recipients_of(workitem_)) == []
    assert list(await orders.erased_objects(10)) == [event.values_key]


async def test_nobody_is_told_of_what_is_erased(orders: SqliteOrders) -> None:
    await orders.apply([created(), subscribed(), erased()])
    refused = (await orders.apply([subscribed(change="again")]))["again"]
    assert (refused.accepted, refused.status) == (False, 0xC307)


async def test_a_start_that_is_known_to_the_month_is_found_by_a_range_of_days(orders: SqliteOrders) -> None:
    await orders.apply([created(workitem(ScheduledProcedureStepStartDateTime="202601"))])
    assert await found(orders, ScheduledProcedureStepStartDateTime="20251231-20260131") == [UID]
    assert await found(orders, ScheduledProcedureStepStartDateTime="20260201-20260228") == []
