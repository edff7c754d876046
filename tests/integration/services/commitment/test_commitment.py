"""Storage commitment over real associations, with the real embedded stores; pynetdicom is the foreign peer."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel

from gantry.cli.commit import action_information, ask
from gantry.cli.identifiers import encode
from gantry.common.adapters.sqlite import open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.commitment.wire import TRANSFER_SYNTAXES, decode_action_information, encode_event_information
from gantry.common.dicom.standard.sop_classes import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from gantry.common.dimse import Command, CommandField, Element
from gantry.common.events import CommitmentReference, CommitmentRequested, ObjectLost, decode
from gantry.common.net import connect, scu
from gantry.common.runtime.losses import Losses
from gantry.common.telemetry.metrics import Metrics
from gantry.services.commitment.checks import CommitmentChecks
from tests.integration.services.commitment.conftest import CT, PATIENT, QUICK, Archive, AwayIndex
from tests.support.facts import stored


@dataclass
class ForeignModality:
    """A pynetdicom AE that takes reports on associations of the archive's own."""

    port: int
    reports: queue.Queue[tuple[int, Dataset]]
    refuse: list[int]


@pytest.fixture
def modality() -> Iterator[ForeignModality]:
    reports: queue.Queue[tuple[int, Dataset]] = queue.Queue()
    refuse: list[int] = []

    def take(event: evt.Event) -> tuple[int, None]:
        if refuse:
            return refuse.pop(), None
        reports.put((event.event_type, event.event_information))
        return 0x0000, None

    ae = AE("MODALITY")
    ae.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, take)])
    yield ForeignModality(server.socket.getsockname()[1], reports, refuse)
    server.shutdown()


async def request_only(archive: Archive, references: Sequence[tuple[str, str]], transaction: str) -> int:
    """Ask, and release at once: the report has to come on another association."""
    async with connect(archive.peer, [(STORAGE_COMMITMENT, TRANSFER_SYNTAXES)]) as association:
        context = scu.need_context(association, STORAGE_COMMITMENT)
        information = encode(action_information(transaction, references), context)
        return (await scu.request_commitment(association, information)).status


async def test_kept_objects_are_committed_on_the_requesting_association(archive: Archive) -> None:
    references = [await archive.keep(n) for n in range(3)]
    async with archive.running():
        status, transaction, report = await ask(archive.peer, references, wait=20, timeout=20)
        assert status == 0
        assert report is not None
        assert [i.ReferencedSOPInstanceUID for i in report.ReferencedSOPSequence] == [uid for _, uid in references]
        assert "FailedSOPSequence" not in report
        (event,) = await archive.reported()
    assert (event.transaction_uid, event.delivered, event.failures) == (transaction, True, ())


async def test_each_failure_is_reported_with_its_reason(archive: Archive) -> None:
    good, lost, damaged, short = [await archive.keep(n) for n in range(4)]
    other_class = ("1.2.840.10008.5.1.4.1.1.4", (await archive.keep(4))[1])
    await archive.store.delete(f"objects/default/0/{1:032x}.dcm")
    path = archive.folder / f"objects/objects/default/0/{2:032x}.dcm"
    content = bytearray(path.read_bytes())
    content[1_500_000] ^= 1
    path.write_bytes(content)
    short_path = archive.folder / f"objects/objects/default/0/{3:032x}.dcm"
    short_path.write_bytes(short_path.read_bytes()[:-1])
    unknown = (CT, "1.2.3.999")
    async with archive.running():
        references = [good, lost, damaged, short, other_class, unknown]
        _, _, report = await ask(archive.peer, references, wait=20, timeout=20)
    assert report is not None
    assert [i.ReferencedSOPInstanceUID for i in report.ReferencedSOPSequence] == [good[1]]
    assert {i.ReferencedSOPInstanceUID: i.FailureReason for i in report.FailedSOPSequence} == {
        lost[1]: 0x0112,
        damaged[1]: 0x0110,
        short[1]: 0x0110,
        other_class[1]: 0x0119,
        unknown[1]: 0x0112,
    }


async def test_objects_still_in_flight_are_waited_for(archive: Archive) -> None:
    entry = await archive.put(1)
    await archive.log.append(stored(1))
    reference, unknown = (CT, entry.sop_instance_uid), (CT, "1.9.9")
    async with archive.running(PATIENT):
        asking = asyncio.create_task(ask(archive.peer, [reference, unknown], wait=20, timeout=20))
        await asyncio.sleep(0.4)
        assert not asking.done()
        await archive.index.apply([entry])
        await archive.indexers_pass()
        # What came after the request is not waited for.
        await archive.log.append(stored(2))
        _, _, report = await asking
    assert report is not None
    assert [i.ReferencedSOPInstanceUID for i in report.ReferencedSOPSequence] == [entry.sop_instance_uid]
    assert [i.FailureReason for i in report.FailedSOPSequence] == [0x0112]


async def test_what_is_not_there_is_known_at_once_when_the_indexers_have_caught_up(archive: Archive) -> None:
    """PATIENT waits for half an hour, this test does not."""
    async with archive.running(PATIENT):
        _, _, report = await ask(archive.peer, [(CT, "1.9.9")], wait=20, timeout=20)
    assert report is not None
    assert [i.FailureReason for i in report.FailedSOPSequence] == [0x0112]


async def test_indexers_that_stay_behind_are_a_processing_failure_and_not_a_missing_object(archive: Archive) -> None:
    await archive.log.append(stored(1))
    async with archive.running():
        _, _, report = await ask(archive.peer, [(CT, "1.9.9")], wait=20, timeout=20)
    assert report is not None
    assert [i.FailureReason for i in report.FailedSOPSequence] == [0x0110]


async def test_what_is_kept_aside_is_not_committed_to_who_may_have_sent_it(archive: Archive) -> None:
    """Other bytes under the same UID of the same series: what the second sender has is not what would be found."""
    first = replace(await archive.put(1), sender="CT1")
    other = replace(await archive.put(2), sop_instance_uid=first.sop_instance_uid, sender="CT2")
    again = replace(await archive.put(1), receipt=f"{3:032x}", sender="GATEWAY")
    await archive.index.apply([first, again])
    reference = CT, first.sop_instance_uid
    async with archive.running():
        assert await committed(archive, "CT2", reference)
        await archive.index.apply([other])
        assert not await committed(archive, "CT2", reference)
        # Who sent what is current may delete it; of whom nothing is known what he sent may not.
        assert await committed(archive, "CT1", reference)
        assert await committed(archive, "GATEWAY", reference)
        assert not await committed(archive, "SOMEBODY", reference)
        await archive.index.apply([replace(other, receipt=f"{9:032x}", sender="CT1")])
        assert not await committed(archive, "CT1", reference)


async def test_of_one_uid_in_two_studies_both_objects_must_be_kept(archive: Archive) -> None:
    first = await archive.put(1)
    other = replace(await archive.put(2), sop_instance_uid=first.sop_instance_uid, study_instance_uid="1.99")
    await archive.index.apply([first, other])
    reference = CT, first.sop_instance_uid
    async with archive.running():
        assert await committed(archive, "CT1", reference)
        await archive.store.delete(other.object_key)
        assert not await committed(archive, "CT1", reference)


async def test_a_lost_object_is_published_once(archive: Archive) -> None:
    lost = await archive.put(1)
    await archive.index.apply([lost])
    await archive.store.delete(lost.object_key)
    async with archive.running():
        for _ in range(2):
            assert not await committed(archive, "CT1", (CT, lost.sop_instance_uid))
    (event,) = [decode(record.payload) async for record in archive.log.replay("instances")]
    assert isinstance(event, ObjectLost)
    assert (event.receipt, event.object_key, event.reason) == (lost.receipt, lost.object_key, "missing")


async def committed(archive: Archive, title: str, reference: tuple[str, str]) -> bool:
    """What is reported to an AE title."""
    _, _, report = await ask(replace(archive.peer, calling_ae_title=title), [reference], wait=20, timeout=20)
    assert report is not None
    return "FailedSOPSequence" not in report


async def test_index_that_stays_away_is_a_processing_failure_and_not_a_missing_object(archive: Archive) -> None:
    reference = await archive.keep(1)
    index, archive.index = archive.index, AwayIndex()
    async with archive.running():
        _, _, report = await ask(archive.peer, [reference], wait=20, timeout=20)
    archive.index = index
    assert report is not None
    assert [i.FailureReason for i in report.FailedSOPSequence] == [0x0110]


async def test_report_comes_on_a_new_association_with_reversed_roles(
    archive: Archive, modality: ForeignModality
) -> None:
    archive.contacts["MODALITY"] = modality.port
    reference = await archive.keep(1)
    async with archive.running():
        assert await request_only(archive, [reference], "1.9.1") == 0
        assert await request_only(archive, [reference, (CT, "1.2.3.999")], "1.9.2") == 0
        await archive.reported(2)
    reports = {
        report.TransactionUID: (kind, report) for kind, report in [modality.reports.get(timeout=5) for _ in "12"]
    }
    assert reports["1.9.1"][0] == 1
    assert reports["1.9.2"][0] == 2
    assert reports["1.9.2"][1].FailedSOPSequence[0].FailureReason == 0x0112
    assert modality.reports.empty()


async def test_report_is_tried_again_while_the_peer_is_away_or_refuses(
    archive: Archive, modality: ForeignModality
) -> None:
    modality.refuse[:] = [0x0110, 0x0110]
    reference = await archive.keep(1)
    async with archive.running():
        assert await request_only(archive, [reference], "1.9.1") == 0
        await asyncio.sleep(0.3)  # nobody knows where to report to
        archive.contacts["MODALITY"] = modality.port
        (event,) = await archive.reported()
    assert event.delivered
    assert modality.refuse == []
    assert modality.reports.get(timeout=5)[1].TransactionUID == "1.9.1"
    assert modality.reports.empty()


async def test_report_survives_a_restart(archive: Archive, modality: ForeignModality) -> None:
    reference = await archive.keep(1)
    async with archive.running():
        for transaction in ("1.9.1", "1.9.2"):
            assert await request_only(archive, [reference], transaction) == 0
        archive.contacts["MODALITY"] = modality.port
        await archive.reported(2)
        archive.contacts.clear()
        assert await request_only(archive, [reference], "1.9.3") == 0
        await asyncio.sleep(0.1)
    archive.contacts["MODALITY"] = modality.port
    async with archive.running():
        events = await archive.reported(3)
        await asyncio.sleep(0.2)
    assert [event.transaction_uid for event in events][2] == "1.9.3"
    assert sorted(modality.reports.get(timeout=5)[1].TransactionUID for _ in range(3)) == ["1.9.1", "1.9.2", "1.9.3"]
    assert modality.reports.empty()
    assert await archive.log.lag("commitment") == {"commitment": 0}


@asynccontextmanager
async def second_process(archive: Archive) -> AsyncIterator[Archive]:
    """The same role on the same stores, opened again, while `archive` is the active member of the group."""
    log = await open_sqlite_log(archive.folder / "log.db", SystemClock())
    other = Archive(archive.store, log, archive.folder, archive.index, archive.contacts)
    async with archive.running():
        await asyncio.sleep(0.1)
        async with other.running():
            yield other
    await log.close()


async def test_process_that_holds_the_association_reports_though_another_one_is_active(archive: Archive) -> None:
    reference = await archive.keep(1)
    async with second_process(archive) as other:
        status, _, report = await ask(other.peer, [reference], wait=20, timeout=20)
        assert status == 0
        assert report is not None
        await asyncio.sleep(0.5)
        assert len(await archive.reported()) == 1
        assert await archive.log.lag("commitment") == {"commitment": 0}


async def test_active_process_reports_what_another_one_took_and_cannot(
    archive: Archive, modality: ForeignModality
) -> None:
    archive.contacts["MODALITY"] = modality.port
    reference = await archive.keep(1)
    async with second_process(archive) as other:
        assert await request_only(other, [reference], "1.9.1") == 0
        (event,) = await archive.reported()
    assert event.delivered
    assert modality.reports.get(timeout=5)[1].TransactionUID == "1.9.1"
    assert modality.reports.empty()


async def test_report_is_given_up_after_the_days_set(archive: Archive) -> None:
    reference = await archive.keep(1)
    async with archive.running(QUICK.model_copy(update={"give_up": 0.3 / 86400})):
        assert await request_only(archive, [reference], "1.9.1") == 0
        (event,) = await archive.reported()
    assert not event.delivered


async def test_duplicate_transaction_is_refused_before_and_after_a_restart(archive: Archive) -> None:
    reference = await archive.keep(1)
    async with archive.running():
        assert await request_only(archive, [reference], "1.9.1") == 0
        assert await request_only(archive, [reference], "1.9.1") == 0x0131
    async with archive.running():
        assert await request_only(archive, [reference], "1.9.1") == 0x0131
    assert len([event for event in await archive.events() if isinstance(event, CommitmentRequested)]) == 1


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({Element.REQUESTED_SOP_INSTANCE_UID: "1.2.840.10008.1.20.1.2"}, 0x0112),
        ({Element.REQUESTED_SOP_CLASS_UID: "1.2.840.10008.1.20.2"}, 0x0118),
        ({Element.ACTION_TYPE_ID: 2}, 0x0123),
        ({Element.COMMAND_FIELD: int(CommandField.C_ECHO_RQ)}, 0x0211),
    ],
)
async def test_request_for_something_else_is_refused(
    archive: Archive, changed: dict[Element, int], status: int
) -> None:
    elements = {
        Element.REQUESTED_SOP_CLASS_UID: STORAGE_COMMITMENT,
        Element.COMMAND_FIELD: int(CommandField.N_ACTION_RQ),
        Element.MESSAGE_ID: 1,
        Element.REQUESTED_SOP_INSTANCE_UID: STORAGE_COMMITMENT_INSTANCE,
        Element.ACTION_TYPE_ID: 1,
        **changed,
    }
    async with archive.running():
        async with connect(archive.peer, [(STORAGE_COMMITMENT, TRANSFER_SYNTAXES)]) as association:
            (cid,) = association.contexts
            response, _ = await association.request(cid, Command(elements), b"\x08\x00\x95\x11UI\x02\x001\x00")
    assert response.status == status
    assert await archive.events() == []


async def test_too_many_references_are_refused(archive: Archive) -> None:
    async with archive.running(QUICK.model_copy(update={"max_references": 10})):
        assert await request_only(archive, [(CT, f"1.2.{n}") for n in range(11)], "1.9.1") == 0x0213
        assert await request_only(archive, [], "1.9.2") == 0x0115


async def test_hundred_thousand_references_stall_nobody(archive: Archive) -> None:
    """All between request and report, less the network: what blocks the loop is felt by everybody on it."""
    references = [(CT, f"1.2.826.0.1.3680043.2.1143.{n}") for n in range(100_000)]
    longest = 0.0
    loop = asyncio.get_running_loop()
    begun = loop.time()

    async def feel() -> None:
        nonlocal longest
        while True:
            before = loop.time()
            await asyncio.sleep(0.005)
            longest = max(longest, loop.time() - before)

    data = await asyncio.to_thread(_raw_request, references)
    feeling = asyncio.create_task(feel())
    action = await asyncio.to_thread(decode_action_information, data, TRANSFER_SYNTAXES[0], 250_000)
    request = CommitmentRequested("default", "", action.transaction_uid, 1, "M", "GANTRY", "", action.references)
    await archive.log.append(request)
    clock = SystemClock()
    losses = Losses(archive.log, clock, Metrics(), "commitment")
    checks = CommitmentChecks(archive.index, archive.store, archive.log, clock, None, losses, QUICK)
    failures = await checks.failures(request)
    report = await asyncio.to_thread(
        encode_event_information, action.transaction_uid, "GANTRY", [], failures, TRANSFER_SYNTAXES[0]
    )
    feeling.cancel()
    assert len(failures) == 100_000
    assert len(report) > 5_000_000
    # Where any of the steps ran on the loop, that step would be most of the whole.
    assert longest < (loop.time() - begun) / 4


def _raw_request(references: Sequence[tuple[str, str]]) -> bytes:
    pairs = [CommitmentReference(*pair) for pair in references]
    return encode_event_information("1.9.1", "X", pairs, [], TRANSFER_SYNTAXES[0])


async def test_foreign_modality_asks_and_is_told(archive: Archive, modality: ForeignModality) -> None:
    """pynetdicom in both roles: N-ACTION on its association, the report on ours."""
    archive.contacts["PYNETDICOM"] = modality.port
    reference = await archive.keep(1)

    def ask_as_foreigner() -> int:
        ae = AE("PYNETDICOM")
        ae.add_requested_context(StorageCommitmentPushModel)
        association = ae.associate("127.0.0.1", archive.port, ae_title="GANTRY")
        assert association.is_established
        information = action_information("1.9.7", [reference])
        status, _ = association.send_n_action(information, 1, StorageCommitmentPushModel, STORAGE_COMMITMENT_INSTANCE)
        association.release()
        return int(status.Status)

    run: Callable[[], int] = ask_as_foreigner
    async with archive.running():
        assert await asyncio.to_thread(run) == 0x0000
        (event,) = await archive.reported()
    assert event.delivered
    assert modality.reports.get(timeout=5)[1].TransactionUID == "1.9.7"
