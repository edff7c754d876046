"""Metadata of instances (PS3.18 10.4.1.1.2): the header as a document, with URIs where the bulk is.

Documents are kept in memory up to a limit, without what clients call us by: that is put in as they go out.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence

from libs.common.dicom.json_model import Attributes, attributes_of, name_of, to_json
from libs.common.dicom.transfer_syntaxes import encoding_of
from libs.common.ports.index import Location
from services.retrieve.reading import Head, Objects

_BASE = f"gantry-{secrets.token_hex(16)}:"
"""Stands for what clients call us by; of this process, so that no object can hold it."""
_AT_ONCE = 16
PIECE = 2000
"""Instances whose documents are in memory together."""
_TRANSFER_SYNTAX = "00083002"


class Kept:
    """Bytes by key, the longest unused leave first when there are more than `most` of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._entries: OrderedDict[str, bytes] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        """What was put, if it is still here."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: str, value: bytes) -> None:
        """Keep it; what is larger than a quarter of all is not kept."""
        if len(value) * 4 > self._most or key in self._entries:
            return
        self._entries[key] = value
        self._size += len(value)
        while self._size > self._most:
            _, gone = self._entries.popitem(last=False)
            self._size -= len(gone)


class Metadata:
    """Makes the documents of instances."""

    def __init__(self, objects: Objects, memory: int) -> None:
        """`memory` in bytes."""
        self._objects = objects
        self._kept = Kept(memory)

    async def documents(self, locations: Sequence[Location], url: str) -> AsyncIterator[bytes]:
        """A JSON array of them in pieces, at least one; `url` is that of the DICOMweb service. Raises what reading
        raises."""
        for start in range(0, len(locations), PIECE):
            documents = await self._documents(locations[start : start + PIECE])
            begin, end = b"[" if not start else b",", b"]" if start + PIECE >= len(locations) else b""
            yield b"".join([begin, b",".join(documents), end]).replace(_BASE.encode(), url.encode())

    async def attributes(self, location: Location, url: str) -> Attributes:
        """One as attributes, for other representations."""
        return attributes_with(await self._objects.head(location), url)

    async def _documents(self, locations: Sequence[Location]) -> list[bytes]:
        turns = asyncio.Semaphore(_AT_ONCE)

        async def one(location: Location) -> bytes:
            kept = self._kept.get(location.object_key)
            if kept is None:
                async with turns:
                    head = await self._objects.head(location)
                    # In a thread, so that a series of thousands leaves the others their turn.
                    kept = await asyncio.to_thread(_document, head)
                self._kept.put(location.object_key, kept)
            return kept

        if all(self._kept.get(location.object_key) is not None for location in locations):
            return [await one(location) for location in locations]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(location)) for location in locations]
        return [task.result() for task in tasks]


def _document(head: Head) -> bytes:
    return to_json(attributes_with(head, _BASE))


def attributes_with(head: Head, url: str) -> Attributes:
    """The document of one instance: its header, and what is bulk by URI."""
    location = head.location
    place = instance_url(location, url)

    def uri(path: str) -> str:
        return f"{place}/bulkdata/{path}"

    attributes = attributes_of(head.header, encoding_of(location.transfer_syntax_uid), uri)
    for bulk in head.layout.bulk:
        attributes[name_of(bulk.tag)] = {"vr": bulk.vr, "BulkDataURI": uri(name_of(bulk.tag))}
    pixels = head.layout.pixel_data
    if pixels is not None:
        attributes[name_of(pixels.tag)] = {"vr": pixels.vr, "BulkDataURI": uri(name_of(pixels.tag))}
    # PS3.6: Available Transfer Syntax UID: how it is stored, which the data set itself does not say.
    attributes.setdefault(_TRANSFER_SYNTAX, {"vr": "UI", "Value": [location.transfer_syntax_uid]})
    return dict(sorted(attributes.items()))


def instance_url(location: Location, url: str) -> str:
    """The URL of an instance below that of the service."""
    series = f"{url}/studies/{location.study_instance_uid}/series/{location.series_instance_uid}"
    return f"{series}/instances/{location.sop_instance_uid}"
