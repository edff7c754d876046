"""Objects that arrive by STOW-RS: Part 10 files, each streamed into the store while its bytes arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Coroutine, Mapping
from functools import partial
from typing import Any, Protocol

from gantry.common.dicom.encoding.part10 import needed, parse_meta
from gantry.common.errors import GantryError, NotUnderstood, RefusedDataSet
from gantry.common.statuses import SUCCESS
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger
from gantry.common.web.negotiation import DICOM, parse_content_type
from gantry.services.ingest.checks import refuse_file
from gantry.services.ingest.commit import Announced, InstanceSink, InstanceWriter, Sender
from gantry.services.ingest.stow.response import MISMATCH, StowOutcome, failed_outcome, stored_outcome

_WINDOW = 8
"""Objects of one request that may wait for the store and the log at once."""

logger = get_logger("ingest")


class Parts(Protocol):
    """Receives the parts of one body; a body that is not multipart is a single part."""

    def begin(self, headers: Mapping[str, str]) -> None:
        """The next part begins. Raises `HttpProblem` if the part makes the whole body invalid."""

    async def feed(self, data: bytes) -> None:
        """The next bytes of the part; returns when more may come. Raises `TooLarge` if the part exceeds every limit."""

    async def end(self) -> None:
        """The part is complete."""

    async def finish(self) -> None:
        """The body is complete."""

    async def close(self) -> None:
        """Nothing more will arrive: incomplete parts are discarded."""


class IncomingFile:
    """A Part 10 file (PS3.10 7.1). Bytes of a faulty file are dropped, and `settle` reports the fault."""

    def __init__(
        self, writer: InstanceWriter, sender: Sender, storage_classes: Container[str], study: str = ""
    ) -> None:
        """If `study` is given, objects of any other study are refused (PS3.18 10.5.1)."""
        self._writer = writer
        self._sender = sender
        self._storage_classes = storage_classes
        self._study = study
        self._head = b""
        self._wanted = 1
        self._sink: InstanceSink | None = None

    async def feed(self, data: bytes) -> None:
        if self._sink is None:
            self._head += data
            if len(self._head) < self._wanted:
                return
            data = self._begin()
        sink = self._sink
        if sink is not None and not sink.write([memoryview(data)]):
            await sink.ready()

    def refuse(self, error: RefusedDataSet) -> None:
        """Drop all bytes of this file; `settle` reports `error`."""
        self._sink = self._writer.receive(self._sender, Announced("", "", ""), error)

    async def settle(self) -> StowOutcome:
        """The file is complete: its outcome, once that is certain."""
        if self._sink is None:
            self.refuse(NotUnderstood("file meta information is cut off"))
        assert self._sink is not None
        return await settle(self._writer, self._sink)

    async def discard(self) -> None:
        if self._sink is not None:
            await self._sink.discard()

    def _begin(self) -> bytes:
        """Begin the object once its file meta information is complete. Returns the bytes of its data set so far."""
        head = self._head
        try:
            self._wanted = needed(head)
            if self._wanted > len(head):
                return b""
            meta = parse_meta(head)
        except NotUnderstood as error:
            self.refuse(error)
            return b""
        names = meta.sop_class_uid, meta.sop_instance_uid, meta.transfer_syntax_uid
        announced = Announced(*names, self._study, classes=self._storage_classes)
        self._sink = self._writer.receive(self._sender, announced, refuse_file(meta))
        self._head = b""
        return head[meta.data_set_offset :]


class IncomingFiles:
    """The parts of a body of files, each settled as soon as it is complete."""

    def __init__(
        self,
        writer: InstanceWriter,
        sender: Sender,
        storage_classes: Container[str],
        study: str,
        inner: str,
        settling: Settling,
    ) -> None:
        """`inner` is the media type that the body declares for its parts."""
        self._new = partial(IncomingFile, writer, sender, storage_classes, study)
        self._inner = inner
        self._settling = settling
        self._file: IncomingFile | None = None

    def begin(self, headers: Mapping[str, str]) -> None:
        self._file = self._new()
        type_ = parse_content_type(headers.get("content-type", self._inner))
        if type_ is None or type_.type != DICOM:
            self._file.refuse(NotUnderstood(f"the media type of a part is not {DICOM}"))

    async def feed(self, data: bytes) -> None:
        assert self._file is not None
        await self._file.feed(data)

    async def end(self) -> None:
        assert self._file is not None
        file, self._file = self._file, None
        await self._settling.add(file.settle())

    async def finish(self) -> None:
        return

    async def close(self) -> None:
        if self._file is not None:
            await self._file.discard()


async def settle(writer: InstanceWriter, sink: InstanceSink, warning: int = 0) -> StowOutcome:
    """Commit an object that has arrived. Raises nothing: a fault of the object or of a store is its outcome."""
    try:
        event = await writer.commit(sink)
    except Exception as failure:
        error = failure if isinstance(failure, GantryError) else GantryError("internal error")
        if error is not failure:
            logger.exception("storing failed", trace=sink.sender.trace)
        writer.answered(sink, error.dicom_status)
        return failed_outcome(error, sink.announced.sop_class_uid, sink.announced.sop_instance_uid)
    status = writer.status_of(sink)
    writer.answered(sink, status)
    warning = warning or (status if status != SUCCESS else 0)
    if sink.differs:
        logger.info("file meta information names another instance than its data set, which counts", trace=event.trace)
        warning = warning or MISMATCH
    return stored_outcome(event, warning)


class Settling:
    """The outcomes of one request, in the order of its objects. A few objects settle while the next ones arrive."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[StowOutcome]] = []
        self._open: set[asyncio.Task[StowOutcome]] = set()

    async def add(self, outcome: Coroutine[Any, Any, StowOutcome]) -> None:
        """The next object is complete. Returns when one more may arrive."""
        task = asyncio.get_running_loop().create_task(outcome)
        self._tasks.append(task)
        self._open.add(task)
        if len(self._open) >= _WINDOW:
            _, self._open = await asyncio.wait(self._open, return_when=asyncio.FIRST_COMPLETED)

    async def outcomes(self) -> list[StowOutcome]:
        """All outcomes, once the last is certain."""
        return await asyncio.gather(*self._tasks)

    async def cancel(self) -> None:
        """Cancel what is still settling: the requester no longer waits for a response."""
        await end_tasks(*self._open)
