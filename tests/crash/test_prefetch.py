"""Priors are fetched for orders from other archives, on the whole archive, in both topologies."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from gantry.cli.files import DicomFile
from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_routing import listed
from tests.crash.test_upkeep import gantry
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, uids_of, until
from tests.support.objects import data_set, write
from tests.support.ports import free_port
from tests.support.pynetdicom_peers import Scp
from tests.support.worklist import OrdersClient, ordered, scheduled

pytestmark = pytest.mark.timeout(240)
SETTINGS = (
    "http: {may_order: [loopback], may_delete: [loopback]}\n"
    "routing: {prefetch: [%s], retry_first: 1, retry_longest: 2, refused: 2}\n"
)
RULE = "{name: chest, modalities: [CT], ask: [OLD], prior_modalities: [CT], within: 9y, most: 2}"


@dataclass
class Old:
    """The other archive: what it has, and what it was asked."""

    archive_port: int = 0
    files: list[DicomFile] = field(default_factory=list)
    asked: list[Dataset] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    refuses: bool = False

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        self.asked.append(event.identifier)
        studies: dict[str, list[Dataset]] = {}
        for file in self.files:
            ds = dcmread(file.path, stop_before_pixels=True)
            studies.setdefault(ds.StudyInstanceUID, []).append(ds)
        for uid, datasets in studies.items():
            answer = Dataset()
            answer.QueryRetrieveLevel, answer.StudyInstanceUID = "STUDY", uid
            answer.PatientID, answer.PatientBirthDate = datasets[0].PatientID, datasets[0].PatientBirthDate
            answer.StudyDate, answer.ModalitiesInStudy = datasets[0].StudyDate, datasets[0].Modality
            answer.NumberOfStudyRelatedInstances = len(datasets)
            yield 0xFF00, answer

    def move(self, event: evt.Event) -> Iterator[Any]:
        uid = str(event.identifier.StudyInstanceUID)
        self.moved.append(uid)
        if self.refuses:
            yield None, None
            return
        yield "127.0.0.1", self.archive_port, {"contexts": self._contexts()}
        wanted = [dcmread(file.path) for file in self.files]
        wanted = [ds for ds in wanted if ds.StudyInstanceUID == uid]
        yield len(wanted)
        for ds in wanted:
            yield 0xFF00, ds

    @staticmethod
    def _contexts() -> list[Any]:
        ae = AE("OLD")
        ae.add_requested_context(CTImageStorage)
        return list(ae.requested_contexts)


@contextmanager
def old_archive(port: int = 0) -> Iterator[tuple[Old, Scp]]:
    old = Old()
    handlers = [(evt.EVT_C_FIND, old.find), (evt.EVT_C_MOVE, old.move)]
    models = [StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelMove]
    with Scp("OLD", handlers=handlers, contexts=models, port=port) as scp:
        yield old, scp


def prior(folder: Path, year: int, patient: str = "P1", born: str = "19700101", instances: int = 2) -> list[DicomFile]:
    uid = f"1.2.840.77.{year}.{len(patient)}{born}"
    return [
        write(
            folder / uid,
            data_set(
                study=uid, series=f"{uid}.1", number=number, patient=patient, PatientBirthDate=born,
                StudyDate=f"{year}0301", Modality="CT",
            ),
        )
        for number in range(1, instances + 1)
    ]  # fmt: skip


def fetching(archive: RunningArchive, port: int, rules: str = RULE) -> RunningArchive:
    entry = f"{{ae_title: OLD, host: 127.0.0.1, port: {port}, may: [store]}}"
    archive.write_policy([entry], SETTINGS % rules)
    return archive


def order(number: int = 1, **values: Any) -> Dataset:
    return ordered(number, scheduled("S1", ScheduledProcedureStepStartDate="20991231"), **values)


async def ended(archive: RunningArchive, count: int = 1) -> list[dict[str, Any]]:
    async with asyncio.timeout(90):
        while True:
            states = await listed(archive, "--all")
            over = [state for state in states if state["state"] in ("delivered", "failed", "cancelled")]
            if len(over) >= count:
                return over
            await asyncio.sleep(0.3)


async def test_the_newest_priors_of_the_patient_are_fetched_once_for_an_order(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    with old_archive() as (old, scp):
        archive = fetching(make_archive(), scp.port).start()
        old.archive_port = archive.port
        years = {year: prior(tmp_path, year) for year in (2005, 2020, 2022, 2024)}
        namesake = prior(tmp_path, 2025, born="19500505")
        stranger = prior(tmp_path, 2026, patient="P2")
        old.files = [file for files in (*years.values(), namesake, stranger) for file in files]
        await asyncio.to_thread(OrdersClient(archive).place, order())
        (state,) = await ended(archive)
        assert (state["kind"], state["state"], state["completed"]) == ("prefetch", "delivered", 2)
        uids = [uids_of(years[year][0])[0] for year in (2024, 2022)]
        assert old.moved == uids  # neither the old one, nor a third, nor those of others
        assert (old.asked[0].PatientID, old.asked[0].QueryRetrieveLevel) == ("P1", "STUDY")
        for uid in uids:
            where = await asyncio.to_thread(gantry, archive, "where", uid)
            assert "2 instances from OLD" in where.stdout, where.stdout
        # Placed again, also after a restart: nothing is asked twice.
        archive.kill()
        archive.start()
        await asyncio.to_thread(OrdersClient(archive).place, order(RequestedProcedureDescription="changed"))
        # Another order of the same patient finds that they are here.
        await asyncio.to_thread(OrdersClient(archive).place, order(2, PatientID="P1"))
        states = await ended(archive, 2)
        assert [state["state"] for state in states] == ["delivered"] * 2
        assert "all priors are here already: 2" in [state["why"] for state in states]
        await asyncio.sleep(1)
        assert len(old.asked) == 2
        assert old.moved == uids
        assert archive.stop() == 0


@embedded
async def test_an_archive_that_is_away_is_asked_when_it_comes_whatever_is_killed(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    port = free_port()
    archive = fetching(make_archive(), port).start()
    await asyncio.to_thread(OrdersClient(archive).place, order())
    async with asyncio.timeout(60):
        while not any("OLD" in state["why"] for state in await listed(archive)):
            await asyncio.sleep(0.2)
    archive.kill()
    with old_archive(port) as (old, _):
        old.archive_port, old.files = archive.port, prior(tmp_path, 2024)
        archive.start(failpoints="before-publish=kill@3", ready=False)  # two objects, then what is said of the route
        await asyncio.to_thread(archive.wait_dead, 40)
        archive.start()
        (state,) = await ended(archive)
        assert (state["state"], state["failed"]) == ("delivered", 0)
        where = await asyncio.to_thread(gantry, archive, "where", uids_of(old.files[0])[0])
        assert "2 instances can be found" in where.stdout, where.stdout
    assert archive.stop() == 0


@embedded
async def test_what_was_deleted_here_is_not_brought_back_and_a_dry_run_fetches_nothing(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    dry = RULE.replace("name: chest", "name: dry, dry_run: true")
    with old_archive() as (old, scp):
        archive = fetching(make_archive(), scp.port, dry).start()
        old.archive_port = archive.port
        deleted, other = prior(tmp_path, 2024), prior(tmp_path, 2022)
        old.files = [*deleted, *other]
        await Modality(archive.peer, deleted).send_all()
        uid = uids_of(deleted[0])[0]
        await until(lambda: gantry(archive, "delete", uid, "--reason", "wrong patient").returncode == 0)
        await asyncio.to_thread(OrdersClient(archive).place, order())
        (state,) = await ended(archive)
        assert state["why"] == f"dry run: would fetch 1 study: {uids_of(other[0])[0]}"
        assert old.moved == []
        assert archive.stop() == 0


@embedded
async def test_an_archive_that_refuses_is_named_with_its_answer_and_a_cancelled_order_wants_nothing(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    with old_archive() as (old, scp):
        archive = fetching(make_archive(), scp.port).start()
        old.archive_port, old.files, old.refuses = archive.port, prior(tmp_path, 2024), True
        client = OrdersClient(archive)
        await asyncio.to_thread(client.place, order())
        (state,) = await ended(archive)
        assert (state["state"], state["failed"]) == ("failed", 1)
        assert "OLD: answered A801H" in state["why"]
        old.refuses = False
        await asyncio.to_thread(client.ask, "DELETE", "/A1?reason=not+needed")
        result = await asyncio.to_thread(gantry, archive, "routes", "retry", "--all")
        assert result.returncode == 0, result.stderr
        states = await ended(archive, 2)
        assert states[1]["why"] == "nothing of the order is to come, or it does not say whose it is"
        assert archive.stop() == 0
