"""Metadata of instances (PS3.18 10.4.1.1.2): the header as a document, with URIs in place of bulk values.

Documents are cached in memory up to a limit, without the base URL: it is inserted when they are sent.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

from gantry.common.dicom.model.json_writing import Attributes, BulkUri, attributes_of, name_of, named
from gantry.common.dicom.model.series_cache import Texts
from gantry.common.dicom.standard.tags import AVAILABLE_TRANSFER_SYNTAX_UID
from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from gantry.common.ports.index import Location
from gantry.services.retrieve.corrections import corrected_bytes, version_of
from gantry.services.retrieve.damage import Damaged
from gantry.services.retrieve.reading import ObjectHead, Objects

_BASE = f"gantry-{secrets.token_hex(16)}:"
"""Placeholder for the base URL; random per process, so that no object can contain it."""
PIECE = 2000
"""Instances whose documents are in memory together."""
"""PS3.6: Available Transfer Syntax UID."""


class DocumentCache:
    """Values by key; beyond `most` bytes in all, the least recently used are evicted."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._entries: OrderedDict[str, bytes] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        """The value that was put, None if it was evicted."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: str, value: bytes) -> None:
        """Cache a value; values larger than a quarter of the limit are not cached."""
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
        self._cache = DocumentCache(memory)

    async def documents(self, locations: Sequence[Location], url: str, missed: list[Damaged]) -> AsyncIterator[bytes]:
        """A JSON array of the documents, in one or more pieces; `url` is that of the DICOMweb service. Damaged objects
        are left out and appended to `missed`. Passes on other errors of reading."""
        begun = False
        for start in range(0, len(locations), PIECE):
            documents = await self._documents(locations[start : start + PIECE], missed)
            begin = b"[" if not start else b"," if begun and documents else b""
            begun = begun or bool(documents)
            end = b"]" if start + PIECE >= len(locations) else b""
            yield b"".join([begin, b",".join(documents), end]).replace(_BASE.encode(), url.encode())

    async def attributes(self, location: Location, url: str, *, as_written: bool = False) -> Attributes:
        """The document of one instance as attributes, for other representations; with `as_written` as of
        `attributes_of`. Raises `Damaged`."""
        head = await self._objects.head(location)
        # In a thread: a report may have a hundred thousand items.
        return await asyncio.to_thread(lambda: attributes_with(_corrected(head), url, as_written=as_written))

    async def _documents(self, locations: Sequence[Location], missed: list[Damaged]) -> list[bytes]:
        documents = {version_of(location): self._cache.get(version_of(location)) for location in locations}
        missing = [location for location in locations if documents[version_of(location)] is None]
        texts = Texts()
        async for group in self._objects.heads(missing):
            heads = [head for head in group if isinstance(head, ObjectHead)]
            missed += [head for head in group if isinstance(head, Damaged)]
            # In a thread, so that a series of thousands does not hold up other requests.
            made = await asyncio.to_thread(_documents, heads, texts)
            for head, document in zip(heads, made, strict=True):
                documents[version_of(head.location)] = document
                self._cache.put(version_of(head.location), document)
        texts_of = [documents.get(version_of(location)) for location in locations]
        return [text for text in texts_of if text is not None]


def _documents(heads: Sequence[ObjectHead], texts: Texts) -> list[bytes]:
    return [_document(_corrected(head), texts) for head in heads]


def _corrected(head: ObjectHead) -> ObjectHead:
    """The head as it is shown."""
    if not head.location.is_modified:
        return head
    return replace(head, header=corrected_bytes(head.location, head.header))


def _document(head: ObjectHead, texts: Texts) -> bytes:
    """The result of `attributes_with` as text."""
    uri = _uris(head, _BASE)
    attributes = texts.attributes(head.header, encoding_of(head.location.transfer_syntax_uid), uri)
    for tag, attribute in _beside(head, uri).items():
        attributes[tag] = named(tag, attribute)
    attributes.setdefault(AVAILABLE_TRANSFER_SYNTAX_UID, named(AVAILABLE_TRANSFER_SYNTAX_UID, _stored_in(head)))
    return b"{%b}" % b",".join([attributes[tag] for tag in sorted(attributes)])


def attributes_with(head: ObjectHead, url: str, *, as_written: bool = False) -> Attributes:
    """The document of one instance: its header, and bulk values by URI."""
    uri = _uris(head, url)
    encoding = encoding_of(head.location.transfer_syntax_uid)
    attributes = attributes_of(head.header, encoding, uri, as_written=as_written)
    for tag, attribute in _beside(head, uri).items():
        attributes[name_of(tag)] = attribute
    attributes.setdefault(name_of(AVAILABLE_TRANSFER_SYNTAX_UID), _stored_in(head))
    return dict(sorted(attributes.items()))


def _uris(head: ObjectHead, url: str) -> BulkUri:
    place = instance_url(head.location, url)
    return lambda path: f"{place}/bulkdata/{path}"


def _beside(head: ObjectHead, uri: BulkUri) -> dict[int, dict[str, Any]]:
    """The elements outside the header: bulk values and pixel data."""
    pixels = head.layout.pixel_data
    bulk = [(element.tag, element.vr) for element in head.layout.bulk] + (
        [(pixels.tag, pixels.vr)] if pixels is not None else []
    )
    return {tag: {"vr": vr, "BulkDataURI": uri(name_of(tag))} for tag, vr in bulk}


def _stored_in(head: ObjectHead) -> dict[str, Any]:
    """The stored transfer syntax, which the data set itself does not name."""
    return {"vr": "UI", "Value": [head.location.transfer_syntax_uid]}


def instance_url(location: Location, url: str) -> str:
    """The URL of an instance; `url` is that of the service."""
    series = f"{url}/studies/{location.study_instance_uid}/series/{location.series_instance_uid}"
    return f"{series}/instances/{location.sop_instance_uid}"
