"""Whether objects are kept: in the index under the class named, and in the object store with the bytes acknowledged.

PS3.4 J.1.2.2: who answers Success takes responsibility. So the bytes are read again and their digest compared, for each
instance, before it is among the committed. Failure reasons are those of PS3.3 C.14.1.1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor

from blake3 import blake3

from libs.common.clock import Clock
from libs.common.config.settings import Commitment
from libs.common.errors import Corrupt, DependencyUnavailable, NotFound
from libs.common.events import CommitmentFailure, CommitmentReference
from libs.common.ports.blobs import BlobStore
from libs.common.ports.index import Location, SearchIndex
from libs.common.runtime.backoff import Delays
from libs.common.telemetry.logs import get_logger

PROCESSING_FAILURE = 0x0110
NO_SUCH_OBJECT_INSTANCE = 0x0112
CLASS_INSTANCE_CONFLICT = 0x0119

_PAGE = 1000
_CHUNK = 1 << 20
_LOOK_AGAIN = Delays(first=0.2, longest=5.0)
_READ_AGAIN = Delays(first=0.5, longest=30.0)


class Checks:
    """Checks for all transactions of a process; they share what may be read at once."""

    def __init__(
        self, index: SearchIndex, store: BlobStore, clock: Clock, workers: Executor, settings: Commitment
    ) -> None:
        self._index = index
        self._store = store
        self._clock = clock
        self._workers = workers
        self._settings = settings
        self._reading = asyncio.Semaphore(settings.parallel_checks)
        self._said = get_logger("commitment")

    async def failures(self, partition: str, references: Sequence[CommitmentReference]) -> list[CommitmentFailure]:
        """Those references that cannot be committed, with the reason of each, in their order."""
        located, unasked = await self._locate(partition, references)
        reasons: dict[CommitmentReference, int] = {}
        for start in range(0, len(references), _PAGE):
            page = references[start : start + _PAGE]
            for reference, reason in zip(page, await self._reasons(page, located, unasked), strict=True):
                if reason:
                    reasons[reference] = reason
        return await asyncio.to_thread(_as_failures, reasons)

    async def _reasons(
        self, page: Sequence[CommitmentReference], located: dict[str, Location], unasked: set[str]
    ) -> list[int]:
        return await asyncio.gather(*(self._reason(r, located.get(r.sop_instance_uid), unasked) for r in page))

    async def _reason(self, reference: CommitmentReference, location: Location | None, unasked: set[str]) -> int:
        """0 where the instance is kept."""
        if location is None:
            return PROCESSING_FAILURE if reference.sop_instance_uid in unasked else NO_SUCH_OBJECT_INSTANCE
        if location.sop_class_uid != reference.sop_class_uid:
            return CLASS_INSTANCE_CONFLICT
        async with self._reading:
            return await self._read_again(location)

    async def _locate(
        self, partition: str, references: Sequence[CommitmentReference]
    ) -> tuple[dict[str, Location], set[str]]:
        """Where the instances are. Waits for those that are still on their way into the index, up to the deadline.
        Also those for which the index gave no answer in that time."""
        located: dict[str, Location] = {}
        missing = [reference.sop_instance_uid for reference in references]
        end = self._clock.monotonic() + self._settings.in_flight_deadline
        attempt = 0
        while True:
            unasked = await self._resolve(partition, missing, located)
            missing = [uid for uid in missing if uid not in located]
            left = end - self._clock.monotonic()
            if not missing or left <= 0:
                return located, unasked
            await self._clock.sleep(min(left, _LOOK_AGAIN.after(attempt)))
            attempt += 1

    async def _resolve(self, partition: str, uids: Sequence[str], located: dict[str, Location]) -> set[str]:
        unasked: set[str] = set()
        for start in range(0, len(uids), _PAGE):
            page = uids[start : start + _PAGE]
            try:
                located.update(await self._index.resolve(partition, page))
            except DependencyUnavailable as error:
                self._said.warning("index away", error=error)
                unasked.update(page)
        return unasked

    async def _read_again(self, location: Location) -> int:
        for attempt in range(self._settings.read_retries + 1):
            try:
                await self._compare(location)
                return 0
            except DependencyUnavailable as error:
                self._said.warning("object cannot be read yet", key=location.object_key, error=error)
                if attempt < self._settings.read_retries:
                    await self._clock.sleep(_READ_AGAIN.after(attempt))
            except NotFound:
                self._said.error("object is lost", key=location.object_key)
                return NO_SUCH_OBJECT_INSTANCE
            except Corrupt as error:
                self._said.error("object is damaged", key=location.object_key, error=error)
                return PROCESSING_FAILURE
        return PROCESSING_FAILURE

    async def _compare(self, location: Location) -> None:
        """Raises `Corrupt` where the data set is not the one that was acknowledged. Memory: one chunk."""
        loop = asyncio.get_running_loop()
        reader = await self._store.open(location.object_key, location.data_set_offset, location.data_set_length)
        try:
            digest, length = blake3(), 0
            buffer = bytearray(min(_CHUNK, max(1, location.data_set_length)))
            while count := await reader.readinto([memoryview(buffer)]):
                await loop.run_in_executor(self._workers, digest.update, memoryview(buffer)[:count])
                length += count
        finally:
            await reader.close()
        if length != location.data_set_length or f"blake3:{digest.hexdigest()}" != location.digest:
            raise Corrupt("data set read back differs from the one acknowledged")


def _as_failures(reasons: Mapping[CommitmentReference, int]) -> list[CommitmentFailure]:
    return [CommitmentFailure(r.sop_class_uid, r.sop_instance_uid, reason) for r, reason in reasons.items()]
