"""Priors by C-GET, on the whole archive, in both topologies: nothing is lost or doubled, whatever breaks."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

from gantry.cli.files import DicomFile
from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_prefetch import RULE, Old, ended, fetching, order, prior
from tests.crash.test_routing import listed
from tests.crash.test_upkeep import gantry
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, uids_of, until
from tests.support.pynetdicom_peers import Scp
from tests.support.worklist import OrdersClient

pytestmark = pytest.mark.timeout(240)
GET_RULE = RULE.replace("name: chest", "name: chest, by: get")


@dataclass
class Giving(Old):
    """An archive that sends to nobody, and answers C-GET. It aborts before its `breaks_at`th sub-operation of all."""

    got: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    """Study and SOP Instance UIDs of each C-GET; none where it was for the study."""
    given: list[str] = field(default_factory=list)
    breaks_at: int = -1
    answers_instances: bool = True
    counts: bool = True
    parts: dict[str, str] = field(default_factory=dict)
    """Body Part Examined of studies; one that is not here says none."""

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        level = event.identifier.QueryRetrieveLevel
        if level == "STUDY":
            for status, answer in super().find(event):
                if answer is not None and not self.counts:
                    del answer.NumberOfStudyRelatedInstances
                yield status, answer
            return
        self.asked.append(event.identifier)
        if not self.answers_instances:
            yield 0xA900, None
            return
        mine = [ds for ds in self._all() if ds.StudyInstanceUID == event.identifier.StudyInstanceUID]
        if level == "SERIES":
            for series in sorted({str(ds.SeriesInstanceUID) for ds in mine}):
                answer = Dataset()
                answer.QueryRetrieveLevel, answer.SeriesInstanceUID = level, series
                answer.StudyInstanceUID = event.identifier.StudyInstanceUID
                if "BodyPartExamined" in event.identifier:
                    answer.BodyPartExamined = self.parts.get(str(event.identifier.StudyInstanceUID), "")
                yield 0xFF00, answer
            return
        for ds in mine:
            if ds.SeriesInstanceUID == event.identifier.SeriesInstanceUID:
                answer = Dataset()
                answer.QueryRetrieveLevel, answer.StudyInstanceUID = level, ds.StudyInstanceUID
                answer.SeriesInstanceUID, answer.SOPInstanceUID = ds.SeriesInstanceUID, ds.SOPInstanceUID
                answer.SOPClassUID = ds.SOPClassUID
                yield 0xFF00, answer

    def _all(self) -> list[Dataset]:
        return [dcmread(file.path) for file in self.files]

    def get(self, event: evt.Event) -> Iterator[Any]:
        identifier = event.identifier
        uids = identifier.get("SOPInstanceUID", [])
        named = (str(uids),) if isinstance(uids, str) else tuple(map(str, uids))
        self.got.append((str(identifier.StudyInstanceUID), named))
        wanted = [ds for ds in self._all() if ds.StudyInstanceUID == identifier.StudyInstanceUID]
        wanted = [ds for ds in wanted if not named or ds.SOPInstanceUID in named]
        yield len(wanted)
        for ds in wanted:
            if len(self.given) == self.breaks_at:
                self.breaks_at = -1
                event.assoc.abort()
                return
            self.given.append(str(ds.SOPInstanceUID))
            yield 0xFF00, ds


@contextmanager
def giving_archive(port: int = 0) -> Iterator[tuple[Giving, Scp]]:
    old = Giving()
    handlers = [(evt.EVT_C_FIND, old.find), (evt.EVT_C_GET, old.get)]
    models = [StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelGet]
    with Scp("OLD", handlers=handlers, contexts=models, port=port) as scp:
        yield old, scp


def instances_of(files: Iterable[DicomFile]) -> set[str]:
    return {str(dcmread(file.path).SOPInstanceUID) for file in files}


def where(archive: RunningArchive, uid: str) -> str:
    return str(gantry(archive, "where", uid).stdout)


async def test_priors_come_by_c_get_from_an_archive_that_sends_to_nobody(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    with giving_archive() as (old, scp):
        archive = fetching(make_archive(), scp.port, GET_RULE).start()
        years = {year: prior(tmp_path, year) for year in (2005, 2020, 2022, 2024)}
        old.files = [*itertools.chain(*years.values()), *prior(tmp_path, 2025, born="19500505")]
        await asyncio.to_thread(OrdersClient(archive).place, order())
        (state,) = await ended(archive)
        assert (state["state"], state["completed"], state["why"]) == ("delivered", 2, ""), state
        uids = [uids_of(years[year][0])[0] for year in (2024, 2022)]
        assert old.got == [(uid, ()) for uid in uids]
        for uid in uids:
            answer = await asyncio.to_thread(where, archive, uid)
            # The sender is the archive that was asked, as if it had called.
            assert "2 instances from OLD" in answer, answer
        assert archive.stop() == 0


async def test_a_process_killed_between_two_objects_loses_and_doubles_nothing(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    with giving_archive() as (old, scp):
        archive = fetching(make_archive(), scp.port, GET_RULE).start()
        old.files = prior(tmp_path, 2024, instances=5)
        archive.kill()
        # Two objects are published and answered; the third is durable, and on no log.
        archive.start(failpoints="before-publish=kill@3")
        client = OrdersClient(archive)
        await asyncio.to_thread(client.place, order())
        await asyncio.to_thread(archive.wait_dead, 60)
        uid = uids_of(old.files[0])[0]
        archive.start()
        (state,) = await ended(archive)
        assert (state["state"], state["failed"]) == ("delivered", 0), state
        answer = await asyncio.to_thread(where, archive, uid)
        assert "5 instances can be found" in answer, answer
        assert set(old.given) == instances_of(old.files)
        # What had come is not asked for again.
        assert len(old.given) <= 5 + 3
        assert archive.stop() == 0


@embedded
@pytest.mark.parametrize("counts", [True, False])
async def test_a_get_that_breaks_goes_on_with_what_is_missing(
    counts: bool, make_archive: MakeArchive, tmp_path: Path
) -> None:
    with giving_archive() as (old, scp):
        archive = fetching(make_archive(), scp.port, GET_RULE).start()
        old.counts = counts
        old.files, old.breaks_at = prior(tmp_path, 2024, instances=6), 3
        await asyncio.to_thread(OrdersClient(archive).place, order())
        (state,) = await ended(archive)
        assert (state["state"], state["failed"], state["attempts"]) == ("delivered", 0, 1), state
        uid = uids_of(old.files[0])[0]
        first, second = old.got
        assert first == (uid, ())
        assert sorted(second[1]) == sorted(instances_of(old.files) - set(old.given[:3]))
        assert sorted(old.given) == sorted(instances_of(old.files))  # each once
        assert archive.stop() == 0


@embedded
async def test_an_archive_that_does_not_say_which_instances_it_has_gives_the_whole_again(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    with giving_archive() as (old, scp):
        archive = fetching(make_archive(), scp.port, GET_RULE).start()
        old.files, old.breaks_at, old.answers_instances = prior(tmp_path, 2024, instances=4), 2, False
        await asyncio.to_thread(OrdersClient(archive).place, order())
        (state,) = await ended(archive)
        assert state["state"] == "delivered", state
        uid = uids_of(old.files[0])[0]
        assert old.got == [(uid, ()), (uid, ())]
        await until(lambda: "4 instances can be found" in where(archive, uid))
        assert archive.stop() == 0


@embedded
async def test_an_archive_that_may_not_store_here_may_not_by_c_get_either(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    with giving_archive() as (old, scp):
        archive = fetching(make_archive(), scp.port, GET_RULE)
        archive.config.write_text(archive.config.read_text().replace("may: [store]", "may: [echo]"))
        archive.start()
        old.files = prior(tmp_path, 2024)
        await asyncio.to_thread(OrdersClient(archive).place, order())
        (state,) = await ended(archive)
        assert state["state"] == "failed"
        assert "this peer may not store" in state["why"]
        assert archive.stop() == 0


@embedded
async def test_an_archive_that_has_no_c_get_is_named_and_does_not_hold_up_others(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    old = Old()
    handlers = [(evt.EVT_C_FIND, old.find)]
    with Scp("OLD", handlers=handlers, contexts=[StudyRootQueryRetrieveInformationModelFind]) as scp:
        archive = fetching(make_archive(), scp.port, GET_RULE).start()
        old.files = prior(tmp_path, 2024)
        await asyncio.to_thread(OrdersClient(archive).place, order())
        (state,) = await ended(archive)
        assert (state["state"], state["failed"]) == ("failed", 1)
        assert "accepted no presentation context" in state["why"]
        assert archive.stop() == 0


@embedded
async def test_the_same_uid_with_other_bytes_is_a_conflict_as_by_c_move(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    with giving_archive() as (old, scp):
        archive = fetching(make_archive(), scp.port, GET_RULE).start()
        old.files = prior(tmp_path, 2024, instances=3)
        ours = old.files[:1]
        await Modality(archive.peer, ours).send_all()
        changed = dcmread(old.files[0].path)
        changed.SeriesDescription = "other bytes"
        changed.save_as(old.files[0].path)
        old.answers_instances = False  # so that the one that is here comes, too
        uid = uids_of(ours[0])[0]
        await until(lambda: "1 instance can be found" in where(archive, uid))
        await asyncio.to_thread(OrdersClient(archive).place, order())
        (state,) = await ended(archive)
        assert state["state"] == "delivered", state
        await until(lambda: "3 instances can be found" in where(archive, uid))
        assert "conflict" in where(archive, uid)
        assert archive.stop() == 0


@embedded
async def test_priors_of_another_body_part_stay_and_those_that_say_none_come(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    rule = GET_RULE.replace("most: 2", "most: 2, body_parts: [chest]")
    with giving_archive() as (old, scp):
        archive = fetching(make_archive(), scp.port, rule).start()
        years = {year: prior(tmp_path, year) for year in (2020, 2022, 2023, 2024)}
        uids = {year: uids_of(files[0])[0] for year, files in years.items()}
        old.files = list(itertools.chain(*years.values()))
        old.parts = {uids[2024]: "KNEE", uids[2022]: "CHEST", uids[2020]: "CHEST"}
        await asyncio.to_thread(OrdersClient(archive).place, order())
        (state,) = await ended(archive)
        assert state["state"] == "delivered", state
        assert [uid for uid, _ in old.got] == [uids[2023], uids[2022]]
        studies = [
            str(identifier.StudyInstanceUID) for identifier in old.asked if identifier.QueryRetrieveLevel == "SERIES"
        ]
        assert studies == [uids[2024], uids[2023], uids[2022]]  # no further than is needed
        assert not await listed(archive)
        assert archive.stop() == 0
