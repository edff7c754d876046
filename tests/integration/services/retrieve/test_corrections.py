"""Corrected objects in every transfer syntax; pydicom is the oracle."""

from __future__ import annotations

import zlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy
import pydicom
import pytest

from gantry.common.dicom.scan.scanner import Scanner
from gantry.common.lifecycle import Correction
from gantry.services.retrieve.corrections import as_stored, version_of
from gantry.services.retrieve.damage import Damaged
from gantry.services.retrieve.sources import BytesSource, DeflatedSource, deflated_length
from tests.integration.services.retrieve.dicomweb.test_objects import sample
from tests.integration.services.retrieve.test_conversion import SAMPLES, assert_same, pixels_of
from tests.support.retrieval import all_of, drained, retrieval

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
CORRECTION = Correction(
    "0" * 32,
    1_700_000_000_000_000,
    "somebody",
    "misspelt",
    {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Poe^Zoë", "Ideographic": "山田"}]},
        "00080050": {"vr": "SH", "Value": ["A100"]},
    },
)
TOUCHED = (0x00080005, 0x00080050, 0x00100010, 0x04000561)


@pytest.mark.parametrize("syntax", ["as stored", EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("name", SAMPLES)
async def test_a_corrected_object_is_the_same_but_for_what_was_corrected(
    tmp_path: Path, name: str, syntax: str
) -> None:
    data = sample(name)
    before = pydicom.dcmread(BytesIO(data))
    stored_in = str(before.file_meta.TransferSyntaxUID)
    async with retrieval(tmp_path) as stored:
        location = replace(await stored.keep(data), corrections=(CORRECTION,))
        opened = await stored.openings.part10(location, stored_in if syntax == "as stored" else syntax, "test")
        after = pydicom.dcmread(BytesIO(await all_of(opened)))
    assert (after.PatientName, after.AccessionNumber) == ("Poe^Zoë=山田", "A100")
    assert after.SpecificCharacterSet == "ISO_IR 192"
    (item,) = after.OriginalAttributesSequence
    assert item.AttributeModificationDateTime == "20231114221320.000000+0000"
    (original,) = item.ModifiedAttributesSequence
    assert str(original.get("PatientName", "")) == str(before.get("PatientName", ""))
    if (expected := pixels_of(before)) is not None and (pixels := pixels_of(after)) is not None:
        numpy.testing.assert_array_equal(pixels, expected)
    for tag in TOUCHED:
        before.pop(tag, None)
        after.pop(tag, None)
    assert_same(before, after)


async def test_an_object_without_corrections_is_the_bytes_that_came(tmp_path: Path) -> None:
    data = sample("CT_small.dcm")
    async with retrieval(tmp_path) as stored:
        location = replace(await stored.keep(data), corrections=(CORRECTION,))
        (original,) = as_stored([location])
        opened = await stored.openings.part10(original, EXPLICIT, "test")
        assert await all_of(opened) == data
        assert version_of(location) != version_of(original) == location.object_key


async def test_a_corrected_object_that_is_damaged_is_not_sent_as_a_whole(tmp_path: Path) -> None:
    data = bytearray(sample("CT_small.dcm"))
    async with retrieval(tmp_path) as stored:
        location = replace(await stored.keep(bytes(data)), corrections=(CORRECTION,))
        data[-5] ^= 1
        await stored.store.delete(location.object_key)
        await stored.store.put(location.object_key, [bytes(data)])
        with pytest.raises(Damaged):
            await all_of(await stored.openings.data_set(location, EXPLICIT, "test"))
        assert stored.damage


@pytest.mark.parametrize("length", [0, 1, 65534, 65535, 65536, 200_001])
async def test_what_is_deflated_in_stored_blocks_is_as_long_as_was_said_and_inflates_to_the_same(length: int) -> None:
    data = bytes(n % 251 for n in range(length))
    out = await drained(DeflatedSource(BytesSource(data), length), 1000)
    assert len(out) == deflated_length(length)
    assert len(out) % 2 == 0
    assert zlib.decompressobj(-zlib.MAX_WBITS).decompress(out) == data


async def test_a_corrected_deflated_object_is_one_that_we_take_ourselves(tmp_path: Path) -> None:
    data = sample("image_dfl.dcm")
    async with retrieval(tmp_path) as stored:
        location = replace(await stored.keep(data), corrections=(CORRECTION,))
        opened = await stored.openings.data_set(location, location.transfer_syntax_uid, "test")
        scanner = Scanner(location.transfer_syntax_uid)
        scanner.feed(await all_of(opened))
        assert scanner.finish().study_instance_uid == location.study_instance_uid
