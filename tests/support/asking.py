"""An archive as its peers see it: senders that continue after a crash, and a check of everything that was stored."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from gantry.cli.files import DicomFile
from gantry.cli.identifiers import BOTH, identifier
from gantry.cli.query import find_all
from gantry.cli.retrieve import FolderService, get_to
from gantry.cli.store import send_files
from gantry.common.clock import SystemClock
from gantry.common.config.load import load_settings
from gantry.common.dicom.encoding.part10 import parse_meta
from gantry.common.dicom.standard.sop_classes import PATIENT_ROOT_FIND, STUDY_ROOT_FIND, STUDY_ROOT_GET, VERIFICATION
from gantry.common.dimse import Element
from gantry.common.errors import PeerError
from gantry.common.events import Event, decode
from gantry.common.net import Peer, connect, scu
from gantry.services.process.stores import Stores, open_stores
from tests.support.archive import RunningArchive
from tests.support.objects import bytes_of

LEVEL_KEYS = {
    "STUDY": ("StudyInstanceUID", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
    "SERIES": ("SeriesInstanceUID", "NumberOfSeriesRelatedInstances"),
    "IMAGE": ("SOPInstanceUID",),
}


class Modality:
    """Sends like a modality: objects that were not acknowledged are sent again, until all are."""

    def __init__(self, peer: Peer, files: Sequence[DicomFile], window: int = 1) -> None:
        self.peer = peer
        self.files = list(files)
        self.window = window
        self.acknowledged: set[str] = set()

    @property
    def left(self) -> list[DicomFile]:
        return [file for file in self.files if file.sop_instance_uid not in self.acknowledged]

    async def send(self) -> None:
        """Make one attempt with the remaining objects; a broken association ends it."""

        def done(file: DicomFile, status: int | None) -> None:
            if status in (0x0000, 0xB000):  # PS3.4 B.2.3: stored, and stored with data elements coerced
                self.acknowledged.add(file.sop_instance_uid)

        try:
            await send_files(self.peer, self.left, window=self.window, timeout=60.0, done=done)
        except PeerError:
            return

    async def send_all(self, seconds: float = 60.0) -> None:
        """Repeat attempts until all objects are acknowledged."""
        async with asyncio.timeout(seconds):
            while self.left:
                await self.send()
                await asyncio.sleep(0.1 if self.left else 0)


async def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.05)


async def find(peer: Peer, level: str, keys: Sequence[str], *, root: str = "") -> tuple[list[Dataset], int]:
    """Matches and the final status."""
    root = root or (PATIENT_ROOT_FIND if level == "PATIENT" else STUDY_ROOT_FIND)
    async with connect(peer, [(root, BOTH)]) as association:
        matches, status, _ = await find_all(association, root, identifier(level, keys), timeout=60.0)
    return matches, status


async def find_matches(peer: Peer, level: str, *keys: str) -> list[Dataset]:
    """Matches of a search that succeeds, with the level's own keys."""
    named = {key.partition("=")[0] for key in keys}
    matches, status = await find(peer, level, [*keys, *(key for key in LEVEL_KEYS[level] if key not in named)])
    assert status == 0x0000
    return matches


async def wait_for(archive: RunningArchive, count: int, seconds: float = 60.0, *, peer: Peer | None = None) -> None:
    """Wait until the archive's studies count `count` instances; more are an error. `peer` is searched."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        studies = await find_matches(peer or archive.peer, "STUDY")
        total = sum(int(study.NumberOfStudyRelatedInstances) for study in studies)
        if total == count:
            return
        assert total < count, f"{total} instances counted, {count} were sent"
        assert loop.time() < deadline, f"{total} of {count} instances searchable after {seconds} s"
        await asyncio.sleep(0.05)


async def get(
    peer: Peer, folder: Path, level: str, *keys: str, syntax: str = "", sop_class: str = "1.2.840.10008.5.1.4.1.1.2"
) -> dict[str, bytes]:
    """The data sets received by C-GET, by SOP Instance UID; nothing may fail."""
    folder.mkdir(parents=True, exist_ok=True)
    service = FolderService(folder, [sop_class])
    contexts = [(sop_class, (syntax or "1.2.840.10008.1.2.1",))]
    final = await get_to(peer, service, contexts, STUDY_ROOT_GET, level, keys, timeout=60.0)
    assert final is not None
    assert (final.status, final.number(Element.FAILED_SUB_OPERATIONS)) == (0x0000, 0)
    assert len(service.received) == final.number(Element.COMPLETED_SUB_OPERATIONS)
    whole = {path.stem: path.read_bytes() for path in service.received}
    return {uid: data[parse_meta(data).data_set_offset :] for uid, data in whole.items()}


async def expect_kept(archive: RunningArchive, modalities: Sequence[Modality], seconds: float = 60.0) -> None:
    """Check that every acknowledged object is found; there may be others."""
    missing: dict[tuple[str, str], set[str]] = defaultdict(set)
    for modality in modalities:
        for file in modality.files:
            if file.sop_instance_uid in modality.acknowledged:
                missing[uids_of(file)].add(file.sop_instance_uid)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while missing:
        for (study, series), uids in list(missing.items()):
            images = await once(
                archive, "IMAGE", "SOPInstanceUID", f"StudyInstanceUID={study}", f"SeriesInstanceUID={series}"
            )
            uids -= {str(image.SOPInstanceUID) for image in images}
            if not uids:
                del missing[study, series]
        assert not missing or loop.time() < deadline, f"acknowledged and not found: {dict(missing)}"


async def expect_exactly(archive: RunningArchive, files: Sequence[DicomFile], folder: Path) -> None:
    """Check that the archive has exactly `files`: each once, at every level, with exact counts, byte for byte."""
    await wait_for(archive, len(files))
    expected: dict[str, dict[str, dict[str, DicomFile]]] = defaultdict(lambda: defaultdict(dict))
    for file in files:
        study, series = uids_of(file)
        expected[study][series][file.sop_instance_uid] = file
    counts = {
        study.StudyInstanceUID: (int(study.NumberOfStudyRelatedSeries), int(study.NumberOfStudyRelatedInstances))
        for study in await once(archive, "STUDY", "StudyInstanceUID")
    }
    assert counts == {study: (len(all_), sum(map(len, all_.values()))) for study, all_ in expected.items()}
    for study, all_series in expected.items():
        series_counts = {
            series.SeriesInstanceUID: int(series.NumberOfSeriesRelatedInstances)
            for series in await once(archive, "SERIES", "SeriesInstanceUID", f"StudyInstanceUID={study}")
        }
        assert series_counts == {series: len(members) for series, members in all_series.items()}
        for series, members in all_series.items():
            keys = (f"StudyInstanceUID={study}", f"SeriesInstanceUID={series}")
            images = await once(archive, "IMAGE", "SOPInstanceUID", *keys)
            assert {image.SOPInstanceUID for image in images} == set(members)
        brought = await get(archive.peer, folder / study, "STUDY", f"StudyInstanceUID={study}")
        assert brought == {uid: bytes_of(file) for m in all_series.values() for uid, file in m.items()}


async def once(archive: RunningArchive, level: str, uid: str, *keys: str) -> list[Dataset]:
    """Matches; fails if one is returned twice."""
    matches = await find_matches(archive.peer, level, *keys)
    uids = [str(match[uid].value) for match in matches]
    assert len(uids) == len(set(uids)), f"the same {uid} twice"
    return matches


@cache
def uids_of(file: DicomFile) -> tuple[str, str]:
    """Study and series of a file made by `tests.support.objects`."""
    ds = pydicom.dcmread(file.path, specific_tags=["StudyInstanceUID", "SeriesInstanceUID"])
    return str(ds.StudyInstanceUID), str(ds.SeriesInstanceUID)


async def is_well(peer: Peer, file: DicomFile) -> None:
    """Check that another peer is served: C-ECHO, and C-STORE of `file`."""
    async with connect(peer, [(VERIFICATION, BOTH)]) as association:
        assert await scu.echo(association, timeout=30.0) == 0x0000
    sent = await send_files(peer, [file], timeout=60.0)
    assert (sent.stored, sent.failures) == (1, [])


@asynccontextmanager
async def stores_of(archive: RunningArchive) -> AsyncIterator[Stores]:
    """The stores of a running archive, opened beside it."""
    environment = {**archive.environment, "GANTRY_DATA": str(archive.folder / "data")}
    configured = load_settings(archive.config, environment)
    where = {"tiers": configured.tiers, "encryption": configured.encryption}
    settings = load_settings(None, environment).model_copy(update=where)
    stores = await open_stores(settings, SystemClock())
    try:
        yield stores
    finally:
        await stores.close()


async def events(archive: RunningArchive, topic: str) -> list[Event]:
    """The events on the log."""
    async with stores_of(archive) as stores:
        return [decode(record.payload) async for record in stores.log.replay(topic)]


async def stored_object(stores: Stores, key: str) -> bytes:
    """The bytes of a whole object."""
    reader = await stores.objects.open(key)
    try:
        content = bytearray(reader.size)
        assert await reader.readinto([memoryview(content)]) == len(content)
        return bytes(content)
    finally:
        await reader.close()
