"""Procedure steps of modalities are forwarded, on the whole archive: in order, once the destination is back, whatever
is killed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_routing import listed
from tests.crash.test_upkeep import gantry
from tests.support.archive import RunningArchive
from tests.support.asking import until
from tests.support.modality import Modality, begun, over, refers, unscheduled
from tests.support.ports import free_port
from tests.support.step_receivers import StepKeeper, keeping, notified
from tests.support.worklist import OrdersClient, ordered, scheduled

pytestmark = pytest.mark.timeout(240)
SETTINGS = (
    "http: {may_order: [loopback], may_delete: [loopback]}\n"
    "orders: {idle_days: 0}\n"
    "routing: {steps: [%s], retry_first: 1, retry_longest: 2, refused: 2}\n"
)
RULE = "{name: to the ris, to: [RIS]}"


def telling(archive: RunningArchive, rules: str = RULE, more: str = "", **ports: int) -> RunningArchive:
    peers = [f"{{ae_title: {title}, host: 127.0.0.1, port: {port}, may: [mpps]}}" for title, port in ports.items()]
    archive.write_policy([*peers, "{ae_title: CT1, host: 127.0.0.1, may: [mpps]}"], SETTINGS % rules + more)
    return archive


def updated() -> Dataset:
    step = Dataset()
    step.PerformedProcedureStepDescription = "Kopf, nüchtern"
    step.SpecificCharacterSet = "ISO_IR 100"
    return step


async def perform(archive: RunningArchive, *does: Callable[[Modality], Dataset]) -> list[int]:
    """The statuses that a modality gets."""

    def work() -> list[int]:
        with Modality(archive.port) as modality:
            return [action(modality).Status for action in does]

    return await asyncio.to_thread(work)


def begins(uid: str, study: str = "1.2.840.99.5") -> Callable[[Modality], Dataset]:
    return lambda modality: modality.create(uid, begun([unscheduled(study)]))


def sets(uid: str, dataset: Dataset) -> Callable[[Modality], Dataset]:
    return lambda modality: modality.set(uid, dataset)


async def until_nothing_waits(archive: RunningArchive) -> None:
    async with asyncio.timeout(60):
        while await listed(archive):
            await asyncio.sleep(0.3)


async def test_each_change_of_a_step_is_told_in_order_and_what_was_refused_is_not(make_archive: MakeArchive) -> None:
    """PS3.4 F.7, and table F.9.2-1."""
    ris, notices, uid = StepKeeper(), list[tuple[str, int]](), generate_uid()
    with keeping(ris) as port, notified(notices) as board:
        archive = telling(
            make_archive(), "{name: both, sources: [CT1], to: [RIS], notify: [BOARD]}", RIS=port, BOARD=board
        )
        archive.start()
        orders, order = OrdersClient(archive), ordered(1, scheduled("S1"))
        orders.place(order)
        statuses = await perform(
            archive,
            lambda modality: modality.create(uid, begun([refers(order)])),
            sets(uid, updated()),
            sets(uid, over()),
            sets(uid, over()),
        )
        assert statuses == [0, 0, 0, 0x0110]
        await until(lambda: [number for _, number in notices] == [1, 4, 2])
        await until(lambda: ris.of(uid) == ["IN PROGRESS", "", "COMPLETED"])
        step = ris.steps[uid]
        assert (str(step.PatientName), step.PerformedProcedureStepDescription) == ("Müller^Eva", "Kopf, nüchtern")
        assert step.ScheduledStepAttributesSequence[0].ScheduledProcedureStepID == "S1"
        assert step.PerformedSeriesSequence[0].SeriesInstanceUID == "1.2.840.99.1.1"
        erased = gantry(archive, "orders", "erase", order.AccessionNumber, "--reason", "the law")
        assert erased.returncode == 0, erased.stderr
        await until(lambda: notices[-1] == (uid, 5))
        await until_nothing_waits(archive)
        states = await listed(archive, "--all")
        assert {(state["state"], state["step"], state["study"]) for state in states} == {("delivered", uid, None)}
        assert [state["kind"] for state in states].count("step event") == 4
        assert ris.answered == [0, 0, 0]
        assert archive.stop() == 0


@embedded
async def test_a_destination_that_is_away_is_told_everything_in_order_whatever_is_killed(
    make_archive: MakeArchive,
) -> None:
    port, uids = free_port(), [generate_uid() for _ in range(3)]
    archive = telling(make_archive(), RIS=port).start()
    for uid in uids:
        assert await perform(archive, begins(uid), sets(uid, updated())) == [0, 0]
    async with asyncio.timeout(60):
        while len(states := await listed(archive)) != 6 or not any(state["attempts"] for state in states):
            await asyncio.sleep(0.3)
    assert any("RIS" in state["why"] for state in states)
    archive.kill()
    archive.start()
    assert await perform(archive, *(sets(uid, over()) for uid in uids)) == [0, 0, 0]
    archive.kill()
    ris = StepKeeper()
    with keeping(ris, port=port):
        for _ in range(3):  # it dies with a message sent, and that not said
            archive.start(failpoints="before-publish=kill@1", ready=False)
            async with asyncio.timeout(60):
                while archive.alive:
                    await asyncio.sleep(0.1)
            archive.kill()
        archive.start()
        await until_nothing_waits(archive)
        for uid in uids:
            assert ris.of(uid) == ["IN PROGRESS", "", "COMPLETED"]
        states = await listed(archive, "--all")
        assert [state["state"] for state in states] == ["delivered"] * 9
        assert 0x0111 in ris.answered
    assert archive.stop() == 0


@embedded
async def test_a_final_message_that_was_sent_twice_is_delivered(make_archive: MakeArchive) -> None:
    ris, uid = StepKeeper(), generate_uid()
    with keeping(ris) as port:
        archive = telling(make_archive(), RIS=port).start()
        assert await perform(archive, begins(uid)) == [0]
        await until(lambda: ris.of(uid) == ["IN PROGRESS"])
        # The modality, or another archive, told the RIS itself.
        ris.steps[uid].PerformedProcedureStepStatus = "COMPLETED"
        assert await perform(archive, sets(uid, updated()), sets(uid, over())) == [0, 0]
        await until_nothing_waits(archive)
        states = await listed(archive, "--all")
        assert [state["state"] for state in states] == ["delivered", "failed", "delivered"]
        assert "no longer be updated" in states[1]["why"]
        assert archive.stop() == 0


@embedded
async def test_what_a_destination_refuses_fails_with_its_reason_and_holds_up_no_other_step(
    make_archive: MakeArchive,
) -> None:
    bad, good = generate_uid(), generate_uid()
    ris = StepKeeper(refuses={bad})
    with keeping(ris) as port:
        archive = telling(make_archive(), RIS=port).start()
        assert await perform(archive, begins(bad), begins(good), sets(bad, over()), sets(good, over())) == [0] * 4
        await until(lambda: ris.of(good) == ["IN PROGRESS", "COMPLETED"])
        await until_nothing_waits(archive)
        failed = await listed(archive, "--failed")
        assert [state["step"] for state in failed] == [bad, bad]
        assert [state["why"] for state in failed] == [
            "RIS answered 0110H processing failure",
            "RIS answered 0112H no such object instance",
        ]
        ris.refuses.clear()
        result = gantry(archive, "routes", "retry", "--all")
        assert result.returncode == 0, result.stderr
        await until(lambda: ris.of(bad) == ["IN PROGRESS", "COMPLETED"])
        assert archive.stop() == 0


@embedded
async def test_what_follows_waits_for_the_message_of_its_step_that_is_tried_again(make_archive: MakeArchive) -> None:
    slow, other = generate_uid(), generate_uid()
    ris = StepKeeper(refuses={slow})
    with keeping(ris) as port:
        archive = telling(make_archive(), RIS=port).start()
        assert await perform(archive, begins(slow), sets(slow, over()), begins(other)) == [0, 0, 0]
        await until(lambda: ris.of(other) == ["IN PROGRESS"])
        ris.refuses.clear()
        await until(lambda: ris.of(slow) == ["IN PROGRESS", "COMPLETED"])
        assert sorted(ris.answered) == [0, 0, 0, 0x0110]
        await until_nothing_waits(archive)
        assert archive.stop() == 0


@embedded
async def test_what_was_said_before_there_were_rules_is_not_told(make_archive: MakeArchive) -> None:
    ris, before, after = StepKeeper(), generate_uid(), generate_uid()
    with keeping(ris) as port:
        archive = telling(make_archive(), "", RIS=port).start()
        assert await perform(archive, begins(before), sets(before, over())) == [0, 0]
        assert archive.stop() == 0
        telling(archive, RIS=port).start()
        assert await perform(archive, begins(after)) == [0]
        await until(lambda: ris.of(after) == ["IN PROGRESS"])
        await until_nothing_waits(archive)  # what was told and not noted yet would be told once more
        archive.kill()
        archive.start()
        assert await perform(archive, sets(after, over())) == [0]
        await until(lambda: ris.of(after) == ["IN PROGRESS", "COMPLETED"])
        assert {state["step"] for state in await listed(archive, "--all")} == {after}
        assert ris.answered == [0, 0]
        assert archive.stop() == 0


@embedded
async def test_two_archives_that_tell_each_other_do_so_once(make_archive: MakeArchive) -> None:
    uid, notices = generate_uid(), list[tuple[str, int]]()
    with notified(notices) as board:
        first, other = make_archive(), make_archive()
        second, rule = "dimse: {ae_title: SECOND}\n", "{name: back, to: [GANTRY], notify: [BOARD]}"
        telling(other, rule, second, GANTRY=first.port, BOARD=board).start()
        telling(first, "{name: on, to: [SECOND, CT1]}", SECOND=other.port).start()
        assert await perform(first, begins(uid), sets(uid, over())) == [0, 0]
        await until(lambda: notices == [(uid, 1), (uid, 2)])
        await until_nothing_waits(first)
        assert [state["destination"] for state in await listed(first, "--all")] == ["SECOND", "SECOND"]
        assert {state["destination"] for state in await listed(other, "--all")} == {"BOARD"}
        assert (first.stop(), other.stop()) == (0, 0)
