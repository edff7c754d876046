"""Data sets as streams: the same bytes in pieces of any length, in memory that does not depend on them."""

from __future__ import annotations

import asyncio
import io
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pydicom
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.encoding.part10 import file_meta
from gantry.common.dicom.encoding.rewriting import swapped
from gantry.common.errors import Corrupt
from gantry.services.retrieve.dimse.suboperations import SubOperations
from gantry.services.retrieve.opening import Openings
from gantry.services.retrieve.pixels.converter import Converter, ConverterLimits, Unavailable
from gantry.services.retrieve.pixels.frame_finder import FrameFinder
from gantry.services.retrieve.pixels.pool import PoolLimits
from gantry.services.retrieve.reading import Objects
from gantry.services.retrieve.sources import (
    BitsSource,
    BytesSource,
    FragmentsSource,
    InflatedSource,
    JoinedSource,
    LimitedSource,
    Positioned,
    SwappedSource,
    VerifiedSource,
)
from tests.integration.common.net.conftest import eventually
from tests.integration.services.retrieve.dicomweb.test_objects import get, path_of, sample
from tests.integration.services.retrieve.dimse.test_suboperations import sent
from tests.support.objects import file_bytes
from tests.support.pictures import grey
from tests.support.receiver import Receive
from tests.support.retrieval import Stored, drained
from tests.support.web import WebSite

MIB = 1 << 20
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


@given(st.binary(max_size=3000), st.sampled_from([1, 2, 3, 4, 8]), st.integers(1, 700))
def test_swapped_bytes_are_the_same_in_any_pieces(data: bytes, width: int, piece: int) -> None:
    whole = len(data) - len(data) % width
    expected = b"".join(data[at : at + width][::-1] for at in range(0, whole, width)) + data[whole:]
    assert swapped(data, width) == expected
    assert asyncio.run(drained(SwappedSource(BytesSource(data), width), piece)) == expected


@given(st.binary(min_size=1, max_size=300), st.data())
def test_bits_begin_where_they_are_asked_to(data: bytes, draw: st.DataObject) -> None:
    first = draw.draw(st.integers(0, 7))
    bits = draw.draw(st.integers(1, len(data) * 8 - first))
    piece = draw.draw(st.integers(1, 50))
    unpacked = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[first : first + bits]
    expected = np.packbits(unpacked, bitorder="little").tobytes()
    assert asyncio.run(drained(BitsSource(BytesSource(data), first, bits), piece)) == expected


@given(st.lists(st.binary(max_size=100), max_size=6), st.integers(1, 60))
def test_joined_sources_are_behind_each_other(parts: list[bytes], piece: int) -> None:
    assert asyncio.run(drained(JoinedSource([BytesSource(part) for part in parts]), piece)) == b"".join(parts)


async def test_fragments_are_read_where_their_turn_comes() -> None:
    data = bytes(range(200))
    reader = Positioned(BytesSource(data))
    assert await drained(FragmentsSource(reader, [(5, 10), (15, 0), (50, 3)]), 4) == data[5:15] + data[50:53]
    await reader.go_to(60)
    assert await drained(LimitedSource(reader, 7), 3) == data[60:67]
    with pytest.raises(Corrupt):
        await reader.go_to(5)


@pytest.mark.parametrize("offset", [0, 1, 1_000_000])
async def test_part_of_a_deflated_data_set_is_inflated(offset: int) -> None:
    data = np.arange(600_000, dtype="<u4").tobytes()
    deflate = zlib.compressobj(wbits=-15)
    stored = deflate.compress(data) + deflate.flush() + b"\0"
    assert await drained(InflatedSource(BytesSource(stored), offset, 5000), 999) == data[offset : offset + 5000]
    with pytest.raises(Corrupt):
        await drained(InflatedSource(BytesSource(b"\xff" * 100)))


# ---- memory


def large(syntax: str) -> bytes:
    """An object of 64 MB; deflated, 64 kB."""
    pixels = np.zeros((4096, 8192), "<u2")
    ds = grey(pixels)
    out = io.BytesIO()
    ds.file_meta.TransferSyntaxUID = syntax
    big, implicit = syntax == "1.2.840.10008.1.2.2", syntax == IMPLICIT
    if not syntax.endswith(".99"):
        pydicom.dcmwrite(out, ds, implicit_vr=implicit, little_endian=not big, enforce_file_format=True)
        return out.getvalue()
    data = file_bytes(grey(pixels))
    deflate = zlib.compressobj(wbits=-15)
    body = deflate.compress(data[data.index(b"\x08\x00\x16\x00") :]) + deflate.flush()
    return file_meta(str(ds.SOPClassUID), str(ds.SOPInstanceUID), syntax) + body


@pytest.mark.parametrize("wanted", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("syntax", [IMPLICIT, "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"])
async def test_memory_of_a_conversion_does_not_depend_on_the_object(stored: Stored, syntax: str, wanted: str) -> None:
    if syntax == wanted:
        return
    location = await stored.keep(large(syntax))
    tracemalloc.start()
    try:
        opened = await stored.openings.data_set(location, wanted, "test")
        buffer, length = memoryview(bytearray(MIB)), 0
        while count := await opened.source.readinto([buffer]):
            length += count
        await opened.source.close()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert length == opened.size > 64 * MIB
    assert peak < 8 * MIB


# ---- one budget


async def test_what_nobody_reads_holds_its_room_and_others_are_refused_politely(stored: Stored) -> None:
    stored.converter.limits = ConverterLimits(1, spooled=100_000, patience=0.2)
    stored.converter.budget.limit = 100_000
    location = await stored.keep(sample("MR_small_RLE.dcm"))  # 8 kB decoded
    held = [await stored.openings.data_set(location, EXPLICIT, "slow") for _ in range(10)]
    assert stored.converter.budget.taken == 10 * 8192
    held += [await stored.openings.data_set(location, EXPLICIT, "slow")]
    with pytest.raises(Unavailable, match="no room"):
        await stored.openings.data_set(location, EXPLICIT, "slow")
    for opened in held:
        await opened.source.close()
    assert stored.converter.budget.taken == 0
    await (await stored.openings.data_set(location, EXPLICIT, "slow")).source.close()


async def test_what_is_larger_than_the_whole_budget_is_refused_at_once() -> None:
    converter = Converter(ConverterLimits(1, spooled=1000, patience=60.0))
    with pytest.raises(Unavailable, match="more than the whole budget"):
        await asyncio.wait_for(converter.budget.wait(1001, 60.0), 1.0)
    await converter.close()


async def test_decoders_that_are_away_are_503_and_come_back(site: WebSite, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(*_: Any, **__: Any) -> None:
        raise OSError(11, "no more processes")

    ds = pydicom.dcmread(io.BytesIO(sample("MR_small_RLE.dcm")))
    await site.keep(ds)
    start: Callable[..., Any] = __import__("subprocess").Popen
    monkeypatch.setattr("subprocess.Popen", cannot)
    for tail in ("/rendered", "/frames/1", "/thumbnail"):
        status, body, headers = await get(site, path_of(ds) + tail)
        assert (status, headers["Retry-After"]) == (503, "5"), body
    monkeypatch.setattr("subprocess.Popen", start)
    assert (await get(site, path_of(ds) + "/rendered"))[0] == 200


async def test_a_frame_larger_than_any_may_be_is_refused_before_it_is_read(stored: Stored) -> None:
    from gantry.services.retrieve.pixels.converter import ConversionFailed

    ds = pydicom.dcmread(io.BytesIO(sample("MR_small_RLE.dcm")))
    ds.Rows = ds.Columns = 30_000
    location = await stored.keep(file_bytes(ds))
    with pytest.raises(ConversionFailed, match="bytes is too large"):
        await stored.openings.data_set(location, EXPLICIT, "test")
    assert not stored.converter.pool._idle  # no worker was started for it


def test_limits_are_what_the_documents_say() -> None:
    assert (PoolLimits().deadline, PoolLimits().memory) == (120.0, 4 << 30)


async def test_copying_what_is_there_at_once_gives_others_their_turn() -> None:
    data, turns = bytes(16 * MIB), 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    digest = f"blake3:{blake3(data).hexdigest()}"
    source = VerifiedSource(BytesSource(data), len(data), digest, lambda reason: Corrupt(reason))
    buffer = memoryview(bytearray(MIB // 4))
    while await source.readinto([buffer]):
        pass
    task.cancel()
    assert turns >= 60


async def test_what_found_no_room_ahead_of_its_turn_is_opened_in_its_turn(stored: Stored, receiver: Receive) -> None:
    # Room for two of 8 kB and their frames, of which more are wanted at once by reading ahead.
    stored.converter.limits = ConverterLimits(1, patience=2.0)
    stored.converter.budget.limit = 28_000
    locations = []
    for number in range(5):
        ds = grey(np.arange(4096, dtype="<u2").reshape(64, 64))
        ds.SOPInstanceUID = f"1.4.{number}"
        ds.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
        locations.append(await stored.keep(file_bytes(ds)))
    objects = Objects(stored.store)
    operations = SubOperations(Openings(objects, stored.converter, FrameFinder(objects)), response_timeout=20.0)
    destination = await receiver()
    destination.service.gate.clear()
    async with destination.called(operations) as transfer:
        sending = asyncio.create_task(sent(transfer, locations))
        await eventually(lambda: stored.converter.budget.taken > 0)
        destination.service.gate.set()
        statuses = await sending
    assert statuses == dict.fromkeys(range(5), 0)
