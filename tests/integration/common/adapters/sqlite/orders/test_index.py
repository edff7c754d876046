"""The projection: what its port promises, on SQLite."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import msgpack
import pytest

from gantry.common.adapters.sqlite.orders.index import SqliteOrders
from gantry.common.dicom.query.worklists import with_step_keys, worklist_conditions
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.orders import IDLE, PerformedState, StepState, ValuedEvent, values_key_of
from gantry.common.orders.questions import ListedStep, StepQuery
from gantry.common.ports.orders import FoldedEvent
from tests.support.orders import (
    attributes,
    cancelled,
    changed,
    created,
    ended,
    erased,
    linked,
    order,
    performed,
    placed,
    reference,
    set_,
    step,
    unlinked,
)


@pytest.fixture
async def orders() -> AsyncIterator[SqliteOrders]:
    opened = SqliteOrders()
    yield opened
    await opened.close()


async def found(orders: SqliteOrders, query: StepQuery) -> list[ListedStep]:
    return [match async for page in orders.find(query) for match in page]


async def states(orders: SqliteOrders, key: str = "A1") -> dict[str, StepState]:
    row = await orders.order("default", key)
    assert row is not None
    return dict(row[1])


async def test_an_event_is_folded_once_however_often_it_comes(orders: SqliteOrders) -> None:
    first = await orders.apply([placed(), changed(attributes(PatientID="P2"))])
    again = await orders.apply([placed(), placed()])
    row = await orders.order("default", "A1")
    assert row is not None
    assert row[0].attributes[TAGS["PatientID"]] == ["P2"]
    assert first["c1"].accepted
    assert again["c1"].accepted
    assert again["c1"].state == row[0]
    assert len(await orders.history("default", "A1")) == 2


async def test_a_refusal_is_the_same_when_it_comes_again(orders: SqliteOrders) -> None:
    second = created(change="m9")
    await orders.apply([created(), second])
    again = (await orders.apply([second]))["m9"]
    assert (again.accepted, again.status) == (False, 0x0111)


async def test_an_event_that_cannot_be_applied_is_refused_and_stops_nothing(orders: SqliteOrders) -> None:
    """Tags of two types cannot be ordered: no release of ours writes that, and a bug may."""
    mixed = replace(placed(key="A2", change="c2"), attributes=msgpack.packb({"tag": [1], 5: [2]}))
    verdicts = await orders.apply([placed(), mixed, placed(key="A3", change="c3")])
    assert [verdict.accepted for verdict in verdicts.values()] == [True, False, True]
    assert (await orders.apply([mixed]))["c2"].reason == "the event cannot be applied"
    assert [await orders.order("default", key) is not None for key in ("A1", "A2", "A3")] == [True, False, True]


async def test_applying_is_all_or_nothing(orders: SqliteOrders) -> None:
    broken = replace(changed(), order=object())  # type: ignore[arg-type]  # a bug of ours
    with pytest.raises(TypeError):
        await orders.apply([placed(), broken])
    assert await orders.order("default", "A1") is None


@pytest.mark.parametrize("events", list(itertools.permutations([placed(), created(), "end"])))
async def test_the_state_of_a_step_does_not_depend_on_which_topic_is_read_first(
    orders: SqliteOrders, events: tuple[Any, ...]
) -> None:
    if events.index("end") < events.index(created()):
        return  # one topic has an order
    for event in events:
        await orders.apply([set_() if event == "end" else event])
    assert await states(orders) == {"S1": StepState.COMPLETED}


async def test_a_step_that_is_added_later_has_the_state_of_what_was_performed(orders: SqliteOrders) -> None:
    await orders.apply([placed(), created(), changed(steps={"S2": step("S2")})])
    assert await states(orders) == {"S1": StepState.STARTED, "S2": StepState.SCHEDULED}
    await orders.apply([cancelled(), set_(ended("DISCONTINUED"))])
    assert await states(orders) == {"S1": StepState.DISCONTINUED, "S2": StepState.CANCELLED}


async def test_performed_steps_of_an_order_are_found(orders: SqliteOrders) -> None:
    await orders.apply([placed(), created(), created(performed(PatientID="P9"), "m9", "1.2.840.6")])
    assert [match.uid for match in await orders.performed_of("default", "A1")] == ["1.2.840.5", "1.2.840.6"]
    pair = await orders.performed("default", "1.2.840.5")
    assert pair is not None
    assert pair.state is PerformedState.IN_PROGRESS
    assert await orders.performed("default", "1.9") is None
    assert await orders.performed_of("default", "A9") == []


async def test_another_organisation_sees_nothing(orders: SqliteOrders) -> None:
    await orders.apply([placed(), created()])
    assert await orders.order("other", "A1") is None
    assert await orders.performed("other", "1.2.840.5") is None
    assert await found(orders, StepQuery("other")) == []


def _ward() -> list[FoldedEvent]:
    """Orders that differ in everything that is narrowed by."""
    events: list[FoldedEvent] = []
    names = ["Doe^Jane", "Müller^Eva", "Doe^John", {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}]
    choices = itertools.product(names, ["CT", "MR"], [["CT1"], ["CT1", "MR1"]], ["20260104", "20260105", None])
    for number, (name, modality, stations, day) in enumerate(choices):
        item = step(
            Modality=modality,
            ScheduledStationAETitle=stations,
            ScheduledProcedureStepStartDate=day,
            ScheduledProcedureStepStartTime=f"{number % 24:02}00",
        )
        values = order(item, PatientName=name, PatientID=f"P{number % 5}", AccessionNumber=f"A{number}")
        values[TAGS["StudyInstanceUID"]] = [f"1.2.{number}"]
        events.append(placed(values, f"c{number}", f"A{number}"))
    return events


_KEYS: list[tuple[dict[str, str], dict[str, str]]] = [
    ({}, {}),
    ({"PatientName": "doe*"}, {}),
    ({"PatientName": "山田*"}, {}),
    ({"PatientName": "Muller^Eva"}, {"Modality": "CT"}),
    ({"PatientID": "P1"}, {}),
    ({"PatientID": "P?"}, {"ScheduledStationAETitle": "MR1"}),
    ({"AccessionNumber": "A7"}, {}),
    ({}, {"ScheduledStationAETitle": "CT1", "ScheduledProcedureStepStartDate": "20260105"}),
    ({}, {"ScheduledProcedureStepStartDate": "20260105-", "ScheduledProcedureStepStartTime": "1200-"}),
    ({}, {"ScheduledProcedureStepStartDate": "-20260104"}),
    ({}, {"ScheduledPerformingPhysicianName": "house*"}),
    ({"StudyInstanceUID": "1.2.9"}, {"Modality": "M*"}),
]


@pytest.mark.parametrize(("keys", "of_step"), _KEYS)
async def test_narrowing_leaves_out_nothing_that_matches(
    orders: SqliteOrders, keys: dict[str, str], of_step: dict[str, str]
) -> None:
    await orders.apply(_ward())
    everything = await found(orders, StepQuery("default"))
    assert len(everything) == 48
    identifier = with_step_keys(
        {TAGS[name]: [value] for name, value in keys.items()}, {TAGS[name]: [value] for name, value in of_step.items()}
    )
    query = StepQuery("default", worklist_conditions(identifier))
    matching = [entry for entry in everything if query.predicate()(entry.document)]
    assert matching
    assert await found(orders, query) == matching


async def test_steps_come_in_pages_by_their_start_each_once(orders: SqliteOrders) -> None:
    batch = [
        placed(order(*(step(f"S{n}", ScheduledProcedureStepStartTime=f"{n % 24:02}") for n in range(20))), key, key)
        for key in (f"A{n:03}" for n in range(60))
    ]
    await orders.apply(batch)
    pages = [page async for page in orders.find(StepQuery("default"))]
    assert len(pages) > 2
    steps = [match for page in pages for match in page]
    starts = [match.step[TAGS["ScheduledProcedureStepStartTime"]][0] for match in steps]
    assert starts == sorted(starts)
    named = {(match.order, match.step[TAGS["ScheduledProcedureStepID"]][0]) for match in steps}
    assert len(named) == len(steps) == 1200


async def test_states_stations_and_age_of_steps_narrow_what_is_seen(orders: SqliteOrders) -> None:
    await orders.apply([*_ward(), created(performed(reference(StudyInstanceUID="1.2.0")))])
    idle = await found(orders, StepQuery("default", states=IDLE))
    assert {match.state for match in idle} == {StepState.SCHEDULED}
    mine = await found(orders, StepQuery("default", station="MR1"))
    assert {tuple(match.step[TAGS["ScheduledStationAETitle"]]) for match in mine} == {("CT1", "MR1")}
    young = await found(orders, StepQuery("default", states=IDLE, idle_since="20260105"))
    days = {tuple(match.step.get(TAGS["ScheduledProcedureStepStartDate"], ())) for match in young}
    assert days == {("20260105",), ()}


async def test_an_order_without_steps_is_found_among_orders_alone(orders: SqliteOrders) -> None:
    await orders.apply([placed({**order(), TAGS["ScheduledProcedureStepSequence"]: []})])
    assert await found(orders, StepQuery("default")) == []
    assert [match.order for match in await found(orders, StepQuery("default", orders=True))] == ["A1"]
    assert await states(orders) == {}


async def test_a_linked_study_moves_what_was_performed_to_its_order_and_back(orders: SqliteOrders) -> None:
    """Whatever comes first: the link, the order it names, or the performed step."""
    meant = placed(order(step("S7"), AccessionNumber="A2", StudyInstanceUID="1.7"), "c7", "A2")
    await orders.apply([placed(), meant, created()])
    assert await states(orders) == {"S1": StepState.STARTED}
    await orders.apply([linked("1.2.3", key="A2")])
    assert await states(orders) == {"S1": StepState.SCHEDULED}
    assert await states(orders, "A2") == {"S7": StepState.STARTED}
    assert await orders.linked_to("default", "1.2.3") == "A2"
    assert [match.uid for match in await orders.performed_of("default", "A2")] == ["1.2.840.5"]
    assert await orders.performed_of("default", "A1") == []
    await orders.apply([set_()])
    assert await states(orders, "A2") == {"S7": StepState.COMPLETED}
    await orders.apply([unlinked("1.2.3", key="A2")])
    assert await states(orders) == {"S1": StepState.COMPLETED}
    assert await states(orders, "A2") == {"S7": StepState.SCHEDULED}
    assert await orders.linked_to("default", "1.2.3") == ""


async def test_a_link_counts_whatever_order_the_topics_are_read_in(orders: SqliteOrders) -> None:
    meant = placed(order(step("S7"), AccessionNumber="A2", StudyInstanceUID="1.7"), "c7", "A2")
    await orders.apply([meant, linked("1.2.3", key="A2"), created(), placed()])
    assert await states(orders) == {"S1": StepState.SCHEDULED}
    assert await states(orders, "A2") == {"S7": StepState.STARTED}


def merged(first: list[FoldedEvent], second: list[FoldedEvent]) -> Iterator[list[FoldedEvent]]:
    """All ways to read two topics, each in its order."""
    for places in itertools.combinations(range(len(first) + len(second)), len(first)):
        ours, theirs = iter(first), iter(second)
        yield [next(ours) if place in places else next(theirs) for place in range(len(first) + len(second))]


async def known(orders: SqliteOrders) -> list[object]:
    """All that a projection answers."""
    keys = ("A1", "A2")
    answers: list[object] = [await orders.order("default", key) for key in keys]
    answers += [[event.event for event in await orders.history("default", key)] for key in keys]
    answers += [await orders.performed_of("default", key) for key in keys]
    answers += [await orders.performed("default", "1.2.840.5"), await orders.linked_to("default", "1.2.9")]
    return answers


async def test_an_erasure_leaves_the_same_whichever_topic_is_read_first_and_when() -> None:
    of_orders = [placed(), placed(order(AccessionNumber="A2", StudyInstanceUID="1.2.4"), "c7", "A2"), linked(),
                 erased("1.2.840.5", known="c4"), placed(order(PatientID="P7"), "c8")]  # fmt: skip
    of_steps = [created(performed(reference(), reference(AccessionNumber="A2", StudyInstanceUID="1.2.4"))), set_()]
    outcomes = []
    for events in merged(of_orders, of_steps):
        orders = SqliteOrders()
        for event in events:
            await orders.apply([event])
        outcomes.append(await known(orders))
        assert sorted(await orders.erased_objects(99)) == sorted(
            values_key_of(event) for event in (of_orders[0], *of_steps) if isinstance(event, ValuedEvent)
        )
        await orders.close()
    assert len(outcomes) == 21
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert outcomes[0][4] == outcomes[0][5] == []


async def test_nothing_of_what_was_erased_is_left_in_the_database(orders: SqliteOrders) -> None:
    marked = order(PatientID="P-GONE", PatientName="Marked^Name")
    await orders.apply([placed(marked), changed(attributes(PatientName="Marked^Anew")), created(), set_()])
    await orders.apply(
        [placed(order(AccessionNumber="A2", PatientID="P-STAYS"), "c7", "A2"), erased("1.2.840.5", known="c2")]
    )
    content = orders._connection.serialize()
    assert b"P-STAYS" in content
    assert [mark for mark in (b"P-GONE", b"Marked", b"marked") if mark in content] == []


async def test_what_was_refused_of_a_step_that_there_is_not_goes(orders: SqliteOrders) -> None:
    await orders.apply([set_(), created({}, "m3", "1.2.840.6")])
    assert len(await orders.erased_objects(99)) == 2
    assert len(await orders.erased_objects(1)) == 1
    await orders.forget_objects(await orders.erased_objects(99))
    assert await orders.erased_objects(99) == []


async def test_performed_steps_without_an_order_are_told_from_others(orders: SqliteOrders) -> None:
    alone = [
        created(performed(reference(StudyInstanceUID="1.9", AccessionNumber="B")), f"n{n}", f"1.7.{n}")
        for n in range(450)
    ]
    await orders.apply([placed(), created(), *alone])
    uids = [step_.uid async for page in orders.unordered("default") for step_ in page]
    assert sorted(uids) == sorted(event.sop_instance_uid for event in alone)
    assert await orders.orders_of("default", "1.2.840.5") == ["A1"]
    assert await orders.orders_of("default", "1.7.1") == await orders.orders_of("default", "1.8") == []
    assert [match.uid for match in await orders.performed_alone("default", "A1")] == ["1.2.840.5"]
    assert await orders.performed_alone("default", "A9") == []
    assert [match.uid for match in await orders.performed_in("default", "1.2.3")] == ["1.2.840.5"]
    assert await orders.performed_in("default", "1.2.9") == []
    assert await orders.keys("default", "", 9) == ["A1"]
    assert await orders.keys("default", "A1", 9) == []
    assert await orders.named_objects([values_key_of(placed()), "x"]) == {values_key_of(placed())}


async def test_an_order_of_which_something_was_asked_meanwhile_is_not_erased(orders: SqliteOrders) -> None:
    await orders.apply([placed(), created(), set_()])
    assert await orders.last_change("default", "A1") == "c1"
    events = [changed(attributes(PatientID="P2")), erased("1.2.840.5", known="c1")]
    verdicts = await orders.apply(events)
    assert (verdicts["c9"].accepted, verdicts["c9"].reason) == (False, "something was asked of the order meanwhile")
    assert await orders.performed("default", "1.2.840.5") is not None
    assert await orders.erased_objects(9) == []
    assert (await orders.apply([erased("1.2.840.5", known="c2", change="c10")]))["c10"].accepted
    assert await orders.order("default", "A1") is None
    # What is read where the values are gone already is decided in the same way.
    fresh = SqliteOrders()
    gone = [replace(event, attributes=b"", values_key=event.change) for event in (placed(), events[0])]  # type: ignore[type-var]
    verdicts = await fresh.apply([*gone, events[1], erased(known="c2", change="c10")])  # type: ignore[list-item]
    assert [verdicts[change].accepted for change in ("c9", "c10")] == [False, True]
    await fresh.close()
