"""Makes the copies of each link that wants them, in one process, and again from the beginning after an interruption.

The order of effects: the copies are durable, then their list, then `ShareCopied` is on the log, and only then the link
opens. The copies of ended links are removed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from gantry.common.access import EVERYTHING, restricted
from gantry.common.access.shares import Share
from gantry.common.clock import Clock
from gantry.common.deidentify.objects import Deidentifier
from gantry.common.dicom.encoding.part10 import file_meta
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, UidList
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.errors import Corrupt, DependencyUnavailable, GantryError, NotFound
from gantry.common.events import ShareCopied, ShareCreated, ShareRevoked
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.blobs import BlobStore, read_whole
from gantry.common.ports.index import Location, ReadIndex
from gantry.common.runtime.consumer import Delivery, Poison
from gantry.common.runtime.deidentification_profiles import Profiles
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.runtime.followed_shares import FollowedShares
from gantry.common.telemetry.logs import get_logger
from gantry.services.copies.manifest import Copy, copy_key, folder_of, manifest_key, pack, receipt_of, unpack
from gantry.services.maintenance.recover_event import fact_of
from gantry.services.retrieve.deidentifying.objects import Deidentification, Deidentifying
from gantry.services.retrieve.opening import Openings

GROUP = "share-copies"
MOST_COPIES = 20_000
"""Most instances of one link."""
_CLEAR_EVERY = 600.0
_AT_ONCE = 4
"""Instances that are copied at the same time."""
_CHUNK = 1 << 18
_CLIENT = "share links"
logger = get_logger("shares")


class LinkCopier:
    """The handler of the consumer loop that reads events of links."""

    def __init__(
        self,
        followed: FollowedShares,
        index: ReadIndex,
        objects: BlobStore,
        openings: Openings,
        deidentification: Deidentification,
        profiles: Profiles,
        clock: Clock,
    ) -> None:
        self._followed = followed
        self._index = index
        self._objects = objects
        self._openings = openings
        self._deidentification = deidentification
        self._profiles = profiles
        self._clock = clock
        self._cleared: set[str] = set()

    async def __call__(self, batch: Sequence[Delivery]) -> None:
        """Make the copies of links that were made, and remove those of links that were revoked. Raises
        `DependencyUnavailable`: then the batch comes again; `Poison` for a profile that no longer exists."""
        for delivery in batch:
            event = delivery.event
            if not isinstance(event, ShareCreated | ShareRevoked):
                continue
            # The fold of this process may not have read these events yet.
            share = (await self._followed.latest()).named(event.share)
            if share is None:
                continue
            if isinstance(event, ShareRevoked):
                self._cleared.discard(event.share)
                await self._clear(share)
            elif event.deidentified_by and share.copied is None and not share.is_over(self._clock.now_us()):
                if event.deidentified_by not in self._profiles.known:
                    # It would delay all links behind it; an operator who restores the profile replays the letter.
                    raise Poison(delivery, f"no profile {event.deidentified_by} in deidentification.profiles any more")
                await self._copy(event, self._profiles.known[event.deidentified_by])
                self._cleared.discard(event.share)

    async def clear(self) -> None:
        """Remove, now and then, for ever, the copies of ended links, and copies of objects that are gone for good."""
        while True:
            try:
                for share in (await self._followed.current()).all():
                    await self._clear(share)
            except DependencyUnavailable as error:
                logger.warning("copies of expired links are not removed yet", error=error)
            await self._clock.sleep(_CLEAR_EVERY)

    async def _clear(self, share: Share) -> None:
        made = share.created
        if made is None or not made.deidentified_by or made.share in self._cleared:
            return
        if share.is_over(self._clock.now_us()):
            keys = [stat.key async for stat in self._objects.list(folder_of(made.share))]
            for key in keys:
                await self._objects.delete(key)
            self._cleared.add(made.share)
            if keys:
                logger.info("copies of an expired link were removed", share=made.share, copies=len(keys))
        elif share.copied is not None:
            await self._purge(made)

    async def _purge(self, made: ShareCreated) -> None:
        """Copies of deleted objects stay while the study can be restored; not once its object is gone."""
        try:
            copies = unpack(await read_whole(self._objects, manifest_key(made.share)))
        except (NotFound, Corrupt) as error:
            logger.error("the contents of a link cannot be read", share=made.share, error=error)
            return
        keys = {location.object_key for location in await self._locations(made)}
        gone = [copy for copy in copies if copy.origin not in keys and not await self._exists(copy.origin)]
        if gone:
            left = [copy for copy in copies if copy not in gone]
            await self._objects.put(manifest_key(made.share), [pack(left)])
            for copy in gone:
                await self._objects.delete(copy.stored.object_key)
            logger.info("copies of deleted objects were removed", share=made.share, copies=len(gone))

    async def _exists(self, key: str) -> bool:
        try:
            await self._objects.stat(key)
        except NotFound:
            return False
        return True

    async def _copy(self, made: ShareCreated, deidentifier: Deidentifier) -> None:
        copies: list[Copy] = []
        withheld: Counter[str] = Counter()
        locations = await self._locations(made)
        if len(locations) > MOST_COPIES:
            withheld[f"a link shows {MOST_COPIES} instances at most"] = len(locations) - MOST_COPIES
        locations = locations[:MOST_COPIES]
        for begin in range(0, len(locations), _AT_ONCE):
            batch = enumerate(locations[begin : begin + _AT_ONCE], begin)
            making = [self._copied(made, number, location, deidentifier) for number, location in batch]
            for copy in await asyncio.gather(*making, return_exceptions=True):
                if isinstance(copy, Copy):
                    copies.append(copy)
                elif isinstance(copy, GantryError) and not isinstance(copy, DependencyUnavailable):
                    withheld[str(copy)] += 1
                else:
                    raise copy
        await self._objects.put(manifest_key(made.share), [pack(copies)])
        await reach(FailPoint.BEFORE_PUBLISH)
        reasons = tuple(f"{count} withheld: {reason}" for reason, count in withheld.most_common(10))
        now, left_out = self._clock.now_us(), withheld.total()
        copied = ShareCopied(made.partition, made.trace, made.share, len(copies), left_out, reasons, now)
        await self._followed.tell(copied)
        logger.info("copies of a link were made", share=made.share, copies=len(copies), withheld=left_out)

    async def _locations(self, made: ShareCreated) -> list[Location]:
        query = Query(DEFAULT_PARTITION, Level.STUDY, {STUDY_INSTANCE_UID: UidList(made.copies_of)})
        with restricted(EVERYTHING):
            return [location async for page in self._index.locate(query) for location in page]

    async def _copied(self, made: ShareCreated, number: int, location: Location, by: Deidentifier) -> Copy:
        through = Deidentifying(made.deidentified_by, by, self._deidentification)
        opened = await self._openings.data_set(location, location.transfer_syntax_uid, _CLIENT)
        opened = await through.deidentified(opened, _CLIENT, ahead=False)
        receipt = receipt_of(made.share, number, made.at)
        key = copy_key(made.share, receipt)
        writer = self._objects.writer(key)
        try:
            uid = through.uid(location.sop_instance_uid)
            await writer.write(file_meta(location.sop_class_uid, uid, location.transfer_syntax_uid))
            buffer = memoryview(bytearray(_CHUNK))
            while count := await opened.source.readinto([buffer]):
                await writer.write(bytes(buffer[:count]))
            await writer.commit()
        except BaseException:
            await writer.abort()
            raise
        finally:
            await opened.source.close()
        stored = await fact_of(self._objects, key, DEFAULT_PARTITION, receipt, made.trace)
        # The header is in the object; here it would stay in memory as long as the link is used.
        return Copy(location.object_key, replace(stored, header=None))
