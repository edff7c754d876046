"""STOW-RS of metadata and bulk data (PS3.18 10.5.1.2): parts are collected, then instances are made and committed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Container, Iterable, Mapping
from typing import Any

from gantry.common.dicom.model.json_reading import BulkPiece
from gantry.common.dicom.model.xml_reading import from_xml
from gantry.common.errors import ClassNotSupported, DependencyUnavailable, GantryError, NotUnderstood, RefusedDataSet
from gantry.common.ids import is_uid
from gantry.common.web.errors import HttpProblem
from gantry.common.web.negotiation import DICOM_JSON, DICOM_XML, parse_content_type
from gantry.services.ingest.commit import Announced, InstanceWriter, Sender
from gantry.services.ingest.stow.files import Settling, settle
from gantry.services.ingest.stow.instance_builder import BuiltInstance, make, names_of
from gantry.services.ingest.stow.response import StowOutcome, failed_outcome
from gantry.services.ingest.stow.spool import BulkSpool, SpooledBulk

MAX_METADATA = 16 << 20
_PIECE = 1 << 18


class Submission:
    """The parts of a body of metadata and bulk data."""

    def __init__(
        self, writer: InstanceWriter, sender: Sender, storage_classes: Container[str], study: str, settling: Settling
    ) -> None:
        self._writer = writer
        self._sender = sender
        self._storage_classes = storage_classes
        self._study = study
        self._settling = settling
        self._metadata: list[tuple[str, bytearray]] = []
        self._spool = BulkSpool()
        self._bulk: dict[str, SpooledBulk] = {}
        self._at: SpooledBulk | None = None
        self._spooled = self._described = 0

    def begin(self, headers: Mapping[str, str]) -> None:
        """The next part: metadata, or the bulk data that its Content-Location names."""
        content_type = parse_content_type(headers.get("content-type", ""))
        if content_type is None:
            raise HttpProblem(400, "a part without content type")
        self._at = None
        if content_type.type in (DICOM_JSON, DICOM_XML):
            self._metadata.append((content_type.type, bytearray()))
            return
        location = headers.get("content-location", "")
        if not location or location in self._bulk:
            raise HttpProblem(400, "bulk data without a content location, or two with the same")
        self._at = self._bulk[location] = self._spool.part(content_type.type, content_type.transfer_syntax)

    async def feed(self, data: bytes) -> None:
        """The next bytes of the part."""
        if self._at is None:
            self._metadata[-1][1].extend(data)
            self._described += len(data)
            if self._described > MAX_METADATA:
                raise HttpProblem(413, f"metadata of more than {MAX_METADATA} bytes")
            return
        self._spooled += len(data)
        if self._spooled > self._writer.settings.max_object_size:
            raise HttpProblem(413, f"bulk data of more than {self._writer.settings.max_object_size} bytes")
        await asyncio.to_thread(self._at.write, data)

    async def end(self) -> None:
        return

    async def finish(self) -> None:
        """Make and commit every instance. Raises `HttpProblem` if the metadata cannot be read."""
        used: set[str] = set()
        for data_set in await asyncio.to_thread(_parsed, self._metadata):
            try:
                made = await asyncio.to_thread(make, data_set, self._bulk, self._study)
                used |= made.used
                await self._keep(made)
            except (RefusedDataSet, DependencyUnavailable) as error:
                await self._settling.add(_failure(error, data_set))
        for _ in self._bulk.keys() - used:
            await self._settling.add(_failure(NotUnderstood("bulk data that no metadata refers to"), None))

    async def _keep(self, made: BuiltInstance) -> None:
        sink = self._writer.receive(self._sender, made.announced, _refused(made.announced, self._storage_classes))
        try:
            for piece in made.pieces:
                end = len(piece) if isinstance(piece, bytes) else piece.length
                for at in range(0, end, _PIECE):
                    if isinstance(piece, BulkPiece):
                        where = piece.offset + at, min(_PIECE, end - at)
                        data = await asyncio.to_thread(self._bulk[piece.uri].read, *where)
                    else:
                        data = piece[at : at + _PIECE]
                    if not sink.write([memoryview(data)]):
                        await sink.ready()
        except BaseException:
            await sink.discard()
            raise
        await self._settling.add(settle(self._writer, sink, made.warning))

    async def close(self) -> None:
        self._spool.close()


def _parsed(metadata: Iterable[tuple[str, bytearray]]) -> list[Any]:
    """Every data set: a JSON part is an array of data sets, an XML part is one data set (PS3.18 8.7.3.2)."""
    documents: list[Any] = []
    for type_, text in metadata:
        try:
            data_sets = [from_xml(bytes(text))] if type_ == DICOM_XML else json.loads(text)
        except (ValueError, RecursionError):
            raise HttpProblem(400, "the metadata is not json") from None
        except NotUnderstood as error:
            raise HttpProblem(400, str(error)) from None
        # Some clients send a data set without the array around it.
        documents += data_sets if isinstance(data_sets, list) else [data_sets]
    if not documents:
        raise HttpProblem(400, "no data set in the metadata")
    return documents


def _refused(announced: Announced, storage_classes: Container[str]) -> RefusedDataSet | None:
    if not is_uid(announced.sop_instance_uid):
        return NotUnderstood("the metadata names no sop instance")
    if announced.sop_class_uid not in storage_classes:
        return ClassNotSupported("not a storage sop class that is served")
    return None


async def _failure(error: GantryError, data_set: Any) -> StowOutcome:
    return failed_outcome(error, *names_of(data_set))
