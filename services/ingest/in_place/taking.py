"""Examines foreign objects one after the other, and takes in place those that the archive does not have."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from gantry.common.clock import Clock
from gantry.common.dicom.encoding.part10 import MAX_META_LENGTH, FileMeta, needed, parse_meta
from gantry.common.dicom.encoding.values import leading_values
from gantry.common.dicom.standard.tags import SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from gantry.common.errors import (
    Archived,
    Corrupt,
    DependencyUnavailable,
    GantryError,
    NotFound,
    NotUnderstood,
    RefusedDataSet,
)
from gantry.common.ids import DEFAULT_PARTITION, Receipt, is_uid
from gantry.common.ports.blobs import BlobReader
from gantry.common.ports.foreign import ForeignObject, ForeignStore
from gantry.common.ports.index import InstanceKey, KnownReceipt, ReadIndex
from gantry.common.runtime.in_place.store import ReferringStore
from gantry.common.telemetry.logs import get_logger
from gantry.services.ingest.checks import refuse_file
from gantry.services.ingest.commit import Announced, InstanceWriter, Sender
from gantry.services.ingest.in_place.job import InPlaceJob, ObjectIdentity, ObjectState
from gantry.services.ingest.in_place.referring import ReferringTarget, SourceLocation

T = TypeVar("T")
_CHUNK = 1 << 20
_FIRST = _CHUNK + MAX_META_LENGTH
"""Bytes of an object that are examined before it is read whole."""
_LONGEST_PAUSE = 30.0
_UIDS = (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID)
logger = get_logger("in place")


class Pacing(Protocol):
    """When bytes may pass (`gantry.cli.importing.pace.TransferPace`)."""

    async def begin(self) -> None: ...

    async def go_on(self) -> None: ...

    def passed(self, count: int) -> None: ...


@dataclass(frozen=True, slots=True)
class InPlaceSource:
    """The source: its name in the settings, and its store."""

    name: str
    store: ForeignStore


@dataclass(frozen=True, slots=True)
class InPlaceOptions:
    """`parallel`: objects at once. `patience`: seconds to wait for an unavailable store. `dry_run`: nothing is
    taken."""

    dry_run: bool = False
    parallel: int = 4
    patience: float = 600.0


@dataclass(frozen=True, slots=True)
class _Beginning:
    """The first bytes of an object, its file meta information, and its identity, as far as they contain it."""

    head: bytes
    meta: FileMeta
    identity: ObjectIdentity | None


class _Unreadable(Exception):
    """The source cannot return an object, with the reason in words."""


class InPlaceRun:
    """One run of a job. The caller has listed the objects."""

    def __init__(
        self,
        job: InPlaceJob,
        source: InPlaceSource,
        target: ReferringTarget,
        writer: InstanceWriter,
        objects: ReferringStore,
        index: ReadIndex,
        classes: Container[str],
        sender: Sender,
        pace: Pacing,
        clock: Clock,
        options: InPlaceOptions,
        tell: Callable[[ForeignObject, ObjectState, str], None],
    ) -> None:
        """`writer` stores into `target`; `tell` is called with the outcome of each object."""
        self._job = job
        self._source = source
        self._target = target
        self._writer = writer
        self._objects = objects
        self._index = index
        self._classes = classes
        self._sender = sender
        self._pace = pace
        self._clock = clock
        self._options = options
        self._tell = tell

    async def run(self) -> None:
        """Examine every object that is left. Raises `DependencyUnavailable` if a store of ours, or the whole source, is
        unavailable for longer than the patience; the job can be resumed later."""
        left = self._job.left()
        async with asyncio.TaskGroup() as group:
            for _ in range(self._options.parallel):
                group.create_task(self._work(left))

    async def _work(self, left: Iterator[ForeignObject]) -> None:
        for blob in left:
            await self._pace.begin()
            state, reason = await self._patiently(lambda blob=blob: self._look_at(blob))  # type: ignore[misc]
            self._job.tell(blob.key, state, reason)
            self._tell(blob, state, reason)

    async def _look_at(self, blob: ForeignObject) -> tuple[ObjectState, str]:
        """The outcome of an object. Raises `DependencyUnavailable` if it has to be retried."""
        if not blob.size:
            return ObjectState.NOT_DICOM, "it is empty"
        try:
            reader = await self._read(lambda: self._opened(blob))
        except _Unreadable as error:
            return ObjectState.FAILED, str(error)
        try:
            beginning = await self._beginning(reader, blob.size)
            settled = await self._settled(blob, beginning)
            return settled or await self._take(blob, beginning, reader)
        except _Unreadable as error:
            return ObjectState.FAILED, str(error)
        except NotUnderstood as error:
            return ObjectState.NOT_DICOM, str(error)
        finally:
            await reader.close()

    # ---- looking

    async def _opened(self, blob: ForeignObject) -> BlobReader:
        length = _FIRST if self._options.dry_run else None
        reader = await self._source.store.open(blob.key, blob.tag, 0, length)
        if reader.size != blob.size:
            await reader.close()
            raise Corrupt("its size is not the one that was listed")
        return reader

    async def _beginning(self, reader: BlobReader, size: int) -> _Beginning:
        """Raises `NotUnderstood` for anything but a Part 10 file."""
        head = await self._chunk(reader, min(_FIRST, size))
        if needed(head) > len(head):
            raise NotUnderstood("file meta information is cut off")
        meta = parse_meta(head)
        values = leading_values(head[meta.data_set_offset :], meta.transfer_syntax_uid, _UIDS)
        study, series, instance = (str(values[tag][0]).strip(" \0") if values.get(tag) else "" for tag in _UIDS)
        whole = all(map(is_uid, (study, series, instance)))
        identity = ObjectIdentity(study, series, instance, size - meta.data_set_offset) if whole else None
        return _Beginning(head, meta, identity)

    async def _settled(self, blob: ForeignObject, beginning: _Beginning) -> tuple[ObjectState, str] | None:
        """The outcome of an object that is not to be taken; None if it is."""
        identity, dry = beginning.identity, self._options.dry_run
        if identity is None:
            return (ObjectState.REFUSED, "it does not begin with the UIDs that every object has") if dry else None
        self._job.note(blob.key, identity)
        same = self._job.same(blob.key, identity)
        if same is not None:
            if same == identity.length:
                return ObjectState.DUPLICATE, "another object of the source is the same instance"
            lengths = f"data sets of {identity.length} and {same} bytes"
            return (
                ObjectState.DIFFERENT,
                f"another object of the source is the same instance, with other bytes: {lengths}",
            )
        known = await self._known(blob, identity)
        if known is not None:
            return known
        return (ObjectState.MISSING, "") if dry else None

    async def _known(self, blob: ForeignObject, identity: ObjectIdentity) -> tuple[ObjectState, str] | None:
        """Whether the archive has an instance, and whether it is the same one, judged by its length."""
        key = InstanceKey(identity.study, identity.series, identity.instance)
        receipts = await self._index.receipts(DEFAULT_PARTITION, key)
        matches = [each for each in receipts if not each.lost and not await self._was_changed(blob, each)]
        if not matches:
            return None
        receipt = self._job.given(blob.key)
        if any(each.id == receipt for each in matches):
            return ObjectState.TAKEN, ""  # taken by a run that was killed before it noted that
        current = (await self._index.current(DEFAULT_PARTITION, [key])).get(key)
        if current is not None and current.data_set_length != identity.length:
            lengths = f"data sets of {identity.length} bytes, in the archive {current.data_set_length}"
            return ObjectState.DIFFERENT, lengths
        return ObjectState.HERE, ""

    async def _was_changed(self, blob: ForeignObject, known: KnownReceipt) -> bool:
        """Whether a receipt refers to an earlier version of this very object, which can no longer be read."""
        try:
            reference = await self._objects.reference(known.object_key)
        except (NotFound, Corrupt):
            return True
        if reference is None or (reference.store, reference.key) != (self._source.name, blob.key):
            return False
        return reference.tag != blob.tag

    # ---- taking

    async def _take(self, blob: ForeignObject, beginning: _Beginning, reader: BlobReader) -> tuple[ObjectState, str]:
        meta = beginning.meta
        receipt = Receipt(self._job.receipt(blob.key, Receipt.at(self._clock.now_us()).id))
        names = meta.sop_class_uid, meta.sop_instance_uid, meta.transfer_syntax_uid
        announced = Announced(*names, classes=self._classes)
        sink = self._writer.receive(self._sender, announced, refuse_file(meta), receipt)
        self._target.lying[sink.key] = SourceLocation(
            self._source.name, blob.key, blob.tag, blob.size, meta.data_set_offset
        )
        try:
            piece = beginning.head[meta.data_set_offset :]
            left = blob.size - len(beginning.head)
            while True:
                if not sink.write([memoryview(piece)]):
                    await sink.ready()
                if not left:
                    break
                piece = await self._chunk(reader, min(_CHUNK, left))
                if not piece:
                    raise _Unreadable("it ends before the size that was listed")
                left -= len(piece)
            event = await self._writer.commit(sink)
        except RefusedDataSet as error:
            return ObjectState.REFUSED, str(error)
        except (_Unreadable, DependencyUnavailable, asyncio.CancelledError):
            await sink.discard()
            raise
        except GantryError as error:
            return ObjectState.FAILED, str(error)
        finally:
            del self._target.lying[sink.key]
        logger.debug("taken in place", receipt=event.receipt, trace=event.trace)
        return ObjectState.TAKEN, ""

    async def _chunk(self, reader: BlobReader, length: int) -> bytes:
        async def read() -> bytes:
            buffer = bytearray(length)
            filled = await reader.readinto([memoryview(buffer)])
            return bytes(memoryview(buffer)[:filled])

        await self._pace.go_on()
        piece = await self._read(read)
        self._pace.passed(len(piece))
        return piece

    async def _read(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The bytes from the source. Raises `_Unreadable` if it does not return this object, `DependencyUnavailable` if
        it returns none."""
        try:
            return await ask()
        except NotFound:
            raise _Unreadable("it is not there any more") from None
        except Corrupt:
            raise _Unreadable("it was changed since it was listed; the next run takes it as it is then") from None
        except Archived:
            raise _Unreadable("it lies in an archive of its store: its owner has to ask for it first") from None
        except DependencyUnavailable as error:
            await self._source.store.check()
            raise _Unreadable(error.reason) from error

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer; an unavailable store is asked again, less and less often."""
        until, pause = self._clock.monotonic() + self._options.patience, 1.0
        while True:
            try:
                return await ask()
            except DependencyUnavailable as error:
                if self._clock.monotonic() + pause > until:
                    raise
                logger.warning("waiting for a dependency", dependency=error.dependency, reason=error.reason)
            await self._clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
