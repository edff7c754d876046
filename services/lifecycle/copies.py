"""Superfluous objects of one instance: those sent twice, and the sides of a conflict.

Nothing here happens automatically. Objects are deleted by receipt (`Deletions`): they can be restored until the grace
time is over, and are then collected with a certificate.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.errors import Archived, Held, NotFound
from gantry.common.events import ReceiptReference
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import KnownReceipt, Location, ReadIndex
from gantry.common.runtime.integrity import examine
from gantry.common.runtime.losses import Losses, instance_of
from gantry.services.lifecycle.deletions import Deletions, Done
from gantry.services.requester import Requester


@dataclass(frozen=True, slots=True)
class Copies:
    """An instance whose object was received more than once: `location` is the object that is read, `redundant` are the
    unneeded ones beside it."""

    location: Location
    redundant: Sequence[KnownReceipt]

    @property
    def bytes(self) -> int:
        """The approximate size of the redundant objects: their data sets are as long as the one that is read."""
        return len(self.redundant) * self.location.data_set_length


@dataclass(slots=True)
class Redundancy:
    """What was found and deleted. `spared`: instances whose remaining object would be missing, damaged, or in an
    archive tier."""

    instances: int = 0
    receipts: int = 0
    bytes: int = 0
    deleted: int = 0
    spared: int = 0
    held: list[str] = field(default_factory=list)


def redundant_of(location: Location, receipts: Sequence[KnownReceipt]) -> Sequence[KnownReceipt]:
    """The receipts of the current bytes beside the one that is read. None if there are conflicting objects aside: the
    conflict is not decided, and the receipts show who sent what. Pure."""
    current = location.digest, location.transfer_syntax_uid
    if any((receipt.digest, receipt.transfer_syntax_uid) != current for receipt in receipts):
        return ()
    return [receipt for receipt in receipts if receipt.object_key != location.object_key and not receipt.lost]


async def copies_of(index: ReadIndex, study: str) -> list[Copies]:
    """The instances of a study that were received more than once. Raises `DependencyUnavailable`."""
    query = Query(DEFAULT_PARTITION, Level.STUDY, {STUDY_INSTANCE_UID: Single((study,))})
    groups = []
    async for page in index.locate(query):
        for location in page:
            receipts = await index.receipts(DEFAULT_PARTITION, instance_of(location))
            if redundant := redundant_of(location, receipts):
                groups.append(Copies(location, redundant))
    return groups


async def every_study(index: ReadIndex) -> AsyncIterator[str]:
    """The UIDs of all studies."""
    async for page in index.find(Query(DEFAULT_PARTITION, Level.STUDY)):
        for document in page:
            yield str(document.attributes[STUDY_INSTANCE_UID][0])


class RedundantCopies:
    """Deletes redundant objects, one study after another."""

    def __init__(
        self,
        objects: BlobStore,
        index: ReadIndex,
        deletions: Deletions,
        losses: Losses,
        clock: Clock,
        rate: float,
    ) -> None:
        """Objects that stay are read again, and compared, at most at `rate` bytes a second; 0: no limit. Lost ones are
        reported as `losses`, so that a copy replaces them."""
        self._objects = objects
        self._losses = losses
        self._index = index
        self._deletions = deletions
        self._clock = clock
        self._rate = rate

    async def run(
        self,
        requester: Requester | None,
        studies: Sequence[str] = (),
        advance: Callable[[Redundancy], None] = lambda _: None,
    ) -> Redundancy:
        """Count the redundant objects in `studies`, or in all of them, and delete them if there is a `requester`.
        Raises `DependencyUnavailable`; objects deleted by then stay deleted, and another run continues."""
        result = Redundancy()
        # Listed first: a listing must not stay open for as long as objects are read.
        for study in studies or [uid async for uid in every_study(self._index)]:
            copies = await copies_of(self._index, study)
            result.instances += len(copies)
            result.receipts += sum(len(group.redundant) for group in copies)
            result.bytes += sum(group.bytes for group in copies)
            if copies and requester is not None:
                await self._give_up(study, copies, requester, result)
            advance(result)
        if result.deleted or result.spared:
            await self._deletions.settle()
        return result

    async def _give_up(self, study: str, copies: Sequence[Copies], requester: Requester, result: Redundancy) -> None:
        references: list[ReceiptReference] = []
        for group in copies:
            try:
                damage = await examine(self._objects, group.location, pace=self._pace)
            except Archived:
                result.spared += 1
                continue
            if damage is not None:
                result.spared += 1
                await self._losses.report(DEFAULT_PARTITION, group.location, damage)
                continue
            uids = group.location.series_instance_uid, group.location.sop_instance_uid
            references += [ReceiptReference(*uids, receipt.id) for receipt in group.redundant]
        if not references:
            return
        try:
            done = await self._deletions.delete_receipts(study, references, requester, settle=False, bytes_stay=True)
        except Held:
            result.held.append(study)
        else:
            result.deleted += done.receipts

    async def _pace(self, count: int) -> None:
        if self._rate:
            await self._clock.sleep(count / self._rate)


async def choose(index: ReadIndex, deletions: Deletions, uid: str, receipt: str, requester: Requester) -> Done:
    """Of the objects of a SOP Instance UID that were received with different bytes, make one the current one: those
    with other bytes in its series are deleted. Raises `NotFound` for a receipt that is not one of them, `Held`,
    `DependencyUnavailable`."""
    for location in (await index.resolve(DEFAULT_PARTITION, [uid])).get(uid, []):
        receipts = await index.receipts(DEFAULT_PARTITION, instance_of(location))
        chosen = next((candidate for candidate in receipts if candidate.id == receipt), None)
        if chosen is None:
            continue
        bytes_ = chosen.digest, chosen.transfer_syntax_uid
        others = [receipt for receipt in receipts if (receipt.digest, receipt.transfer_syntax_uid) != bytes_]
        if not others:
            raise NotFound("nothing else is kept of this instance: there is nothing to choose")
        uids = location.series_instance_uid, location.sop_instance_uid
        references = [ReceiptReference(*uids, receipt.id) for receipt in others]
        return await deletions.delete_receipts(location.study_instance_uid, references, requester)
    raise NotFound("not a receipt of this instance; `gantry conflicts` lists them")


async def give_up(index: ReadIndex, deletions: Deletions, uid: str, receipt: str, requester: Requester) -> Done:
    """Of several objects of a SOP Instance UID, delete one: all receipts of its bytes in its series. Raises `NotFound`
    for a receipt that is not one of them, and if no other object has this UID; `Held`, `DependencyUnavailable`."""
    locations = (await index.resolve(DEFAULT_PARTITION, [uid])).get(uid, [])
    for location in locations:
        receipts = await index.receipts(DEFAULT_PARTITION, instance_of(location))
        chosen = next((candidate for candidate in receipts if candidate.id == receipt), None)
        if chosen is None:
            continue
        bytes_ = chosen.digest, chosen.transfer_syntax_uid
        same = [receipt for receipt in receipts if (receipt.digest, receipt.transfer_syntax_uid) == bytes_]
        if len(same) == len(receipts) and len(locations) == 1:
            raise NotFound("nothing else has this UID: delete the instance, its series or its study")
        uids = location.series_instance_uid, location.sop_instance_uid
        references = [ReceiptReference(*uids, receipt.id) for receipt in same]
        return await deletions.delete_receipts(location.study_instance_uid, references, requester)
    raise NotFound("not a receipt of this instance; `gantry conflicts` lists them")
