"""Priors that somebody else fetches, asked for by workitems, on the whole archive, in both topologies."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.crash.conftest import MakeArchive
from tests.crash.test_prefetch import order, prior
from tests.crash.test_upkeep import gantry
from tests.crash.test_work_rules import until_there, values_of
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, uids_of, until
from tests.support.workitems import MINE, WorkitemsClient, as_json, claim, done
from tests.support.worklist import OrdersClient

SETTINGS = (
    "http: {may_order: [loopback], may_delete: [loopback], url: 'https://pacs.example'}\n"
    "routing: {prefetch: [{name: chest, modalities: [CT], prior_modalities: [CT], within: 5y, most: 2,"
    " workitem: {code: 'FETCH^99LOCAL^Fetch priors', worklist_label: PRIORS}}]}\n"
)
WAITING = {"ProcedureStepState": "SCHEDULED", "WorklistLabel": "PRIORS"}


def asking(make_archive: MakeArchive) -> RunningArchive:
    archive = make_archive()
    archive.write_policy([], SETTINGS)
    return archive


async def place(archive: RunningArchive, number: int = 1, **values: str) -> None:
    await asyncio.to_thread(OrdersClient(archive).place, order(number, **values))


async def test_a_foreign_worker_fetches_the_priors_of_an_order(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = asking(make_archive).start()
    await place(archive)
    (document,) = await until_there(archive, 1, **WAITING)
    assert values_of(document, "PatientID") == ["P1"]
    destination, _ = values_of(document, "OutputDestinationSequence")
    (storage,) = values_of(destination, "DICOMStorageSequence")
    assert values_of(storage, "DestinationAE") == [archive.peer.called_ae_title]

    client, uid = WorkitemsClient(archive.http_port), values_of(document, "SOPInstanceUID")[0]
    assert client.ask("PUT", f"/{uid}/state", claim())[0] == 200
    files = prior(tmp_path, 2024)
    await Modality(archive.peer, files).send_all()
    assert client.ask("POST", f"/{uid}?{MINE}", as_json(done()))[0] == 200
    assert client.ask("PUT", f"/{uid}/state", claim(wanted="COMPLETED"))[0] == 200
    study = uids_of(files[0])[0]
    await until(lambda: "2 instances can be found" in gantry(archive, "where", study).stdout)

    # Changed, or placed again: what was fetched is not asked for once more; another order asks for its own.
    await place(archive, RequestedProcedureDescription="changed")
    await place(archive, 2)
    (second,) = await until_there(archive, 1, **WAITING)
    assert values_of(second, "SOPInstanceUID") != [uid]
    assert len(await until_there(archive, 2, WorklistLabel="PRIORS")) == 2
    assert archive.stop() == 0


async def test_an_order_that_is_cancelled_wants_no_priors_until_it_is_placed_again(make_archive: MakeArchive) -> None:
    archive = asking(make_archive).start()
    client = WorkitemsClient(archive.http_port)
    await place(archive)
    await place(archive, 2)
    first, other = await until_there(archive, 2, **WAITING)
    if values_of(values_of(first, "ReferencedRequestSequence")[0], "AccessionNumber") != ["A1"]:
        first, other = other, first
    uid = values_of(first, "SOPInstanceUID")[0]
    status, answer = await asyncio.to_thread(OrdersClient(archive).ask, "DELETE", "/A1?reason=not+needed")
    assert status == 200, answer
    await until(lambda: client.state(uid) == "CANCELED")
    (progress,) = values_of(client.ask("GET", f"/{uid}")[1][0], "ProcedureStepProgressInformationSequence")
    assert values_of(progress, "ReasonForCancellation") == ["the order is cancelled"]
    assert client.state(values_of(other, "SOPInstanceUID")[0]) == "SCHEDULED"

    await place(archive)
    documents = await until_there(archive, 2, **WAITING)
    again = {values_of(document, "SOPInstanceUID")[0] for document in documents} - {
        values_of(other, "SOPInstanceUID")[0]
    }
    assert again != {uid}

    # What a person cancels is not asked for again, however often a scheduling system sends everything anew.
    result = await asyncio.to_thread(gantry, archive, "workitems", "cancel", *again, "--reason", "they are on film")
    assert result.returncode == 0, result
    await place(archive)
    await place(archive, 3)
    numbers = await until_there(archive, 2, **WAITING)
    requests = [values_of(document, "ReferencedRequestSequence")[0] for document in numbers]
    assert {values_of(request, "AccessionNumber")[0] for request in requests} == {"A2", "A3"}
    assert archive.stop() == 0


async def test_there_is_one_workitem_for_an_order_whatever_is_killed(make_archive: MakeArchive) -> None:
    archive = asking(make_archive).start(failpoints="after-publish=kill@1", ready=False)
    # The workitem is on the log, and that the order was read is not.
    await asyncio.to_thread(archive.wait_ready)
    await place(archive)
    await asyncio.to_thread(archive.wait_dead, 40)
    archive.start()
    (document,) = await until_there(archive, 1)
    request = values_of(document, "ReferencedRequestSequence")[0]
    assert values_of(request, "AccessionNumber") == ["A1"]
    await asyncio.sleep(2)
    assert len(await until_there(archive, 1)) == 1
    assert archive.stop() == 0
