"""The DICOMweb handlers of roles over real connections, on real embedded stores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
from blake3 import blake3
from pydicom.dataset import Dataset

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.dicom.encoding.part10 import parse_meta
from gantry.common.dicom.scan.header import ScanLimits
from gantry.common.dicom.scan.scanner import Scanner
from gantry.common.events import InstanceStored
from gantry.common.ids import Receipt
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import SearchIndex
from gantry.common.web.access import AccessControl, Tokens
from gantry.common.web.server import WebLimits, WebServer
from gantry.services.indexer.entries import entry_of
from gantry.services.query.app import build_web as build_query
from gantry.services.retrieve.app import build_web as build_retrieve
from gantry.services.retrieve.dicomweb.objects import WebSettings
from gantry.services.retrieve.dicomweb.picture_cache import PictureCache
from gantry.services.retrieve.pixels.converter import Converter, ConverterLimits
from tests.support.facts import stored
from tests.support.objects import file_bytes


@dataclass(frozen=True)
class WebSite:
    """A server with the roles query and retrieve, and a client for it."""

    client: aiohttp.ClientSession
    store: BlobStore
    index: SearchIndex
    server: WebServer

    async def keep(
        self, *objects: bytes | Dataset, limits: ScanLimits = ScanLimits(), with_layout: bool = True
    ) -> None:
        """Store Part 10 objects, and index them."""
        entries = []
        for number, instance in enumerate(objects):
            data = file_bytes(instance) if isinstance(instance, Dataset) else instance
            event = event_of(data, number, limits)
            await self.store.put(event.object_key, [data])
            entry = entry_of(event, data[event.data_set_offset :])
            entries.append(entry if with_layout else replace(entry, layout=b""))
        await self.index.apply(entries)


def event_of(part10: bytes, number: int = 0, limits: ScanLimits = ScanLimits()) -> InstanceStored:
    """The event of an object that was stored."""
    meta = parse_meta(part10)
    scanner = Scanner(meta.transfer_syntax_uid, limits)
    scanner.feed(part10[meta.data_set_offset :])
    scan = scanner.finish()
    receipt = Receipt.at(1_700_000_000_000_000 + number)
    return replace(
        stored(1),
        receipt=receipt.id,
        study_instance_uid=scan.study_instance_uid,
        series_instance_uid=scan.series_instance_uid,
        sop_class_uid=scan.sop_class_uid,
        sop_instance_uid=scan.sop_instance_uid,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        object_key=receipt.object_key("default"),
        object_size=len(part10),
        data_set_offset=meta.data_set_offset,
        data_set_length=len(part10) - meta.data_set_offset,
        header=scan.header,
        header_length=scan.header_length,
        bulk=scan.bulk,
        pixel_data=scan.pixel_data,
        digest=f"blake3:{blake3(part10[meta.data_set_offset :]).hexdigest()}",
        partition="default",
    )


@asynccontextmanager
async def web_site(folder: Path, cors: Sequence[str] = ()) -> AsyncIterator[WebSite]:
    """Everything closed at the end."""
    store, index = await open_file_store(folder / "objects"), await open_sqlite_index(folder / "index.db")
    converter = Converter(ConverterLimits(workers=1))
    pictures = PictureCache(folder / "thumbnails", 1 << 20)
    server = WebServer("127.0.0.1", 0, {}, AccessControl(Tokens(None)), WebLimits(cors_origins=tuple(cors)))
    server.serve(
        {**build_query(index, None), **build_retrieve(store, index, converter, WebSettings(), pictures=pictures)}
    )
    await server.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:
        try:
            yield WebSite(client, store, index, server)
        finally:
            await server.close()
            await converter.close()
            await index.close()
            await store.close()


async def parts_of(response: aiohttp.ClientResponse) -> list[tuple[str, bytes]]:
    """Content-Type and content of each part, parsed by aiohttp's own reader."""
    reader = aiohttp.MultipartReader.from_response(response)
    contents = []
    while part := await reader.next():
        assert isinstance(part, aiohttp.BodyPartReader)
        contents.append((part.headers["Content-Type"], bytes(await part.read())))
    return contents
