"""Copies of links, on embedded stores: what is made, what is asked, and what is removed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from gantry.common.access import restricted
from gantry.common.access.share_passes import sight_of_share
from gantry.common.access.shares import Share
from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_index, open_sqlite_log
from gantry.common.clock import ManualClock
from gantry.common.deidentify.objects import Deidentifier
from gantry.common.deidentify.options import DeidentificationProfile
from gantry.common.deidentify.pseudonyms import Pseudonyms
from gantry.common.dicom.query.attributes import STANDARD, Level
from gantry.common.dicom.query.matching import Query
from gantry.common.events import InstancesDeleted, InstanceStored, ReceiptReference, ShareCreated, ShareRevoked
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import Location, SearchIndex
from gantry.common.ports.log import EventLog, Record
from gantry.common.runtime.consumer import Delivery, Poison
from gantry.common.runtime.deidentification_profiles import Profiles
from gantry.common.runtime.followed_shares import FollowedShares
from gantry.common.tasks import end_tasks
from gantry.services.copies import copying
from gantry.services.copies.copying import LinkCopier
from gantry.services.copies.index import CopiesIndex
from gantry.services.copies.manifest import folder_of, manifest_key
from gantry.services.indexer.decisions import tell
from gantry.services.indexer.entries import entry_of
from gantry.services.retrieve.deidentifying.objects import Deidentification
from gantry.services.retrieve.opening import Openings
from gantry.services.retrieve.pixels.converter import Converter
from gantry.services.retrieve.pixels.frame_finder import FrameFinder
from gantry.services.retrieve.reading import Objects
from tests.support.objects import data_set, file_bytes
from tests.support.web import event_of

NAMES = Pseudonyms(b"a key of the tests, long enough")
PROFILES = Profiles({"teaching": Deidentifier(DeidentificationProfile(), NAMES)})
STUDY = "1.2.5"
DAY_US = 24 * 3600 * 1_000_000


@dataclass
class Desk:
    """Embedded stores with a study in them, and what makes copies of it."""

    clock: ManualClock
    objects: BlobStore
    log: EventLog
    index: SearchIndex
    followed: FollowedShares
    copier: LinkCopier
    copies: CopiesIndex
    stored: list[InstanceStored]

    def made(self, **other: object) -> ShareCreated:
        at = self.clock.now_us()
        plain = ShareCreated(
            *("default", "t", "ab12", "d" * 64, (NAMES.uid(STUDY),), at + DAY_US, 0, "", False, "teaching", "ris", at),
            deidentified_by="teaching",
            copies_of=(STUDY,),
        )
        return replace(plain, **other)  # type: ignore[arg-type]  # fields of any kind

    async def told(self, event: ShareCreated | ShareRevoked) -> Share:
        """The link once an event about it was appended and handled."""
        await self.followed.tell(event)
        await self.copier([Delivery(Record("shares", 0, 0, "", b"", 0), event)])
        share = (await self.followed.latest()).named(event.share)
        assert share is not None
        return share

    async def keys(self) -> list[str]:
        return [stat.key async for stat in self.objects.list(folder_of("ab12"))]

    async def seen(self) -> list[Location]:
        """What is located for somebody who came by the link."""
        self.clock.advance(3)
        query = Query(DEFAULT_PARTITION, Level.STUDY)
        with restricted(sight_of_share((NAMES.uid(STUDY),), "ab12")):
            return [location async for page in self.copies.locate(query) for location in page]

    async def delete(self, event: InstanceStored) -> None:
        receipt = ReceiptReference(event.series_instance_uid, event.sop_instance_uid, event.receipt)
        gone = InstancesDeleted("default", "t", event.study_instance_uid, "d1", (receipt,), "a test", "anna", 5)
        await tell(self.objects, self.index, [gone])


@asynccontextmanager
async def desk_in(folder: Path) -> AsyncIterator[Desk]:
    clock = ManualClock()
    objects = await open_file_store(folder / "objects", low_water=0)
    log = await open_sqlite_log(folder / "log.db", clock)
    index = await open_sqlite_index(folder / "index.db")
    converter, deidentification = Converter(), Deidentification(workers=1)
    followed = FollowedShares(log, clock)
    open_index = partial(open_sqlite_index, attributes=STANDARD)
    copies = CopiesIndex(index, objects, followed, open_index, STANDARD, clock)
    reading = Objects(objects)
    openings = Openings(reading, converter, FrameFinder(reading))
    copier = LinkCopier(followed, copies, objects, openings, deidentification, PROFILES, clock)
    following = asyncio.create_task(followed.run())
    stored = []
    try:
        for number in range(3):
            burned = {"BurnedInAnnotation": "YES"} if number == 2 else {}
            uids = {"study": STUDY, "series": f"{STUDY}.1", "instance": f"{STUDY}.1.{number}"}
            part10 = file_bytes(data_set(number=number, patient="4711", name="Brenner^Jo", **uids, **burned))  # type: ignore[arg-type]
            event = event_of(part10, number + 1)
            await objects.put(event.object_key, [part10])
            await index.apply([entry_of(event, part10[event.data_set_offset :])])
            stored.append(event)
        yield Desk(clock, objects, log, index, followed, copier, copies, stored)
    finally:
        await end_tasks(following)
        await copies.close()
        await deidentification.close()
        await converter.close()
        await index.close()
        await log.close()
        await objects.close()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as fixture:
        yield fixture


async def test_copies_are_seen_by_the_link_alone_and_what_is_withheld_is_said(desk: Desk) -> None:
    share = await desk.told(desk.made())
    assert share.copied is not None
    assert (share.copied.instances, share.copied.withheld) == (2, 1)
    assert share.copied.reasons == ("1 withheld: Burned In Annotation says that text is in its pixels",)
    assert {instance.sop_instance_uid for instance in await desk.seen()} == {
        NAMES.uid(f"{STUDY}.1.{n}") for n in range(2)
    }
    everything = Query(DEFAULT_PARTITION, Level.STUDY)
    others = [location async for page in desk.copies.locate(everything) for location in page]
    assert {location.study_instance_uid for location in others} == {STUDY}
    # Handled again, after a crash: nothing changes.
    keys = await desk.keys()
    assert (await desk.told(desk.made())).copied == share.copied
    assert await desk.keys() == keys
    assert len(keys) == 3


async def test_what_is_deleted_is_not_seen_and_its_copy_goes_once_its_object_is_gone(desk: Desk) -> None:
    share = await desk.told(desk.made())
    await desk.delete(desk.stored[0])
    assert {instance.sop_instance_uid for instance in await desk.seen()} == {NAMES.uid(f"{STUDY}.1.1")}
    await desk.copier._clear(share)
    assert len(await desk.keys()) == 3  # it may come back
    await desk.objects.delete(desk.stored[0].object_key)
    await desk.copier._clear(share)
    assert len(await desk.keys()) == 2
    assert {instance.sop_instance_uid for instance in await desk.seen()} == {NAMES.uid(f"{STUDY}.1.1")}


async def test_a_link_that_is_over_leaves_nothing_behind(desk: Desk) -> None:
    await desk.told(desk.made())
    assert await desk.keys()
    await desk.told(ShareRevoked("default", "t", "ab12", "over", "ris", desk.clock.now_us()))
    assert await desk.keys() == []


async def test_a_link_whose_time_is_over_leaves_nothing_behind_and_is_not_copied_any_more(desk: Desk) -> None:
    share = await desk.told(desk.made())
    desk.clock.advance(25 * 3600)
    await desk.copier._clear(share)
    assert await desk.keys() == []
    late = await desk.told(desk.made(share="cd34", expires_at=desk.clock.now_us() - 1))
    assert late.copied is None


async def test_a_link_by_a_profile_that_is_gone_holds_up_no_other(desk: Desk) -> None:
    with pytest.raises(Poison, match="no profile of-earlier in"):
        await desk.told(desk.made(deidentified_by="of-earlier"))


async def test_a_link_to_more_than_can_be_copied_shows_the_first_ones(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "MOST_COPIES", 1)
    share = await desk.told(desk.made())
    assert share.copied is not None
    assert (share.copied.instances, share.copied.withheld) == (1, 2)
    assert share.copied.reasons == ("2 withheld: a link shows 1 instances at most",)


async def test_a_list_that_is_damaged_shows_nothing(desk: Desk) -> None:
    await desk.told(desk.made())
    await desk.objects.put(manifest_key("ab12"), [b"GANTRYCOPIES1\nno"])
    with pytest.raises(Exception, match="what this link shows cannot be read"):
        await desk.seen()
