"""Inventories are read as they were written, by us and by others, and refused in words where they are wrong."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from io import BytesIO
from struct import pack

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydicom.dataset import Dataset

from gantry.common.dicom.encoding.part10 import parse_meta
from gantry.common.dicom.inventory.reading import InventoryReader
from gantry.common.dicom.inventory.records import (
    InventoriedInstance,
    InventoriedSeries,
    InventoriedStudy,
    InventoryLevel,
    Scope,
)
from gantry.common.dicom.inventory.writing import InventoryWriter
from gantry.common.dicom.standard.tags import MODALITY, PATIENT_ID, PATIENT_NAME
from gantry.common.errors import NotUnderstood

WANTED = frozenset((MODALITY, PATIENT_ID, PATIENT_NAME))
LITTLE, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
BEGAN = ("20261128", "120000")

uids = some.integers(1, 10**30).map(lambda number: f"2.25.{number}")
texts = some.text("abcÄö山 ", min_size=1, max_size=12).map(str.strip).filter(bool)
instances = some.builds(InventoriedInstance, uids, uids)
series = some.builds(
    InventoriedSeries,
    uids,
    some.fixed_dictionaries({}, optional={MODALITY: some.sampled_from([["CT"], ["MR"]])}),
    some.lists(instances, max_size=4).map(tuple),
)
studies = some.builds(
    InventoriedStudy,
    uids,
    some.just("20261128120001+0000"),
    some.fixed_dictionaries({}, optional={PATIENT_ID: some.lists(texts, min_size=1, max_size=1)}),
    some.lists(series, max_size=3).map(tuple),
)


def data_set(*given_studies: InventoriedStudy, scope: Scope | None = None, parts: tuple[str, ...] = ()) -> bytes:
    writer = InventoryWriter("1.2.9", scope or Scope(InventoryLevel.INSTANCE, BEGAN), parts)
    data = writer.begin() + b"".join([writer.study(study) for study in given_studies]) + writer.end()
    return data[parse_meta(data).data_set_offset :]


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def by_another(ds: Dataset, transfer_syntax: str) -> bytes:
    """As pydicom writes it: sequences and items of undefined length."""
    for study in ds.InventoriedStudiesSequence:
        study.is_undefined_length_sequence_item = True
    ds["InventoriedStudiesSequence"].is_undefined_length = True
    out = BytesIO()
    implicit, little = transfer_syntax == IMPLICIT, transfer_syntax != BIG
    pydicom.dcmwrite(out, ds, implicit_vr=implicit, little_endian=little, enforce_file_format=False)
    return out.getvalue()


def plain(data: bytes) -> Dataset:
    return pydicom.dcmread(BytesIO(data), force=True)


IMAGE = InventoriedInstance("1.2.840.10008.5.1.4.1.1.2", "1.2.1.1.1")
STUDY = InventoriedStudy(
    "1.2.1",
    "20261128120001",
    {PATIENT_ID: ["4711"], PATIENT_NAME: [{"Alphabetic": "Müller^Jörg"}]},
    (InventoriedSeries("1.2.1.1", {MODALITY: ["CT"]}, (IMAGE,)),),
)


@given(some.lists(studies, max_size=4), some.integers(1, 400))
def test_what_is_written_is_read(written: list[InventoriedStudy], size: int) -> None:
    reader = InventoryReader(pieces(data_set(*written), size), LITTLE, WANTED)
    assert list(reader.studies()) == written
    assert (reader.level, reader.completion, reader.limited) == (InventoryLevel.INSTANCE, "COMPLETE", False)


@pytest.mark.parametrize("syntax", [LITTLE, IMPLICIT])
def test_another_writer_s_undefined_lengths_are_read(syntax: str) -> None:
    data = by_another(plain(data_set(STUDY, STUDY)), syntax)
    assert list(InventoryReader(pieces(data, 77), syntax, WANTED).studies()) == [STUDY, STUDY]


def test_a_deflated_one_is_read() -> None:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = packer.compress(data_set(STUDY)) + packer.flush()
    assert list(InventoryReader(pieces(data, 50), DEFLATED, WANTED).studies()) == [STUDY]


def test_optional_attributes_may_be_absent() -> None:
    ds = plain(data_set(STUDY))
    for name in ("ContentDate", "InventoryPurpose", "ScopeOfInventorySequence", "InventoryCompletionStatus"):
        delattr(ds, name)
    del ds.InventoriedStudiesSequence[0].ItemInventoryDateTime
    reader = InventoryReader(iter([by_another(ds, LITTLE)]), LITTLE, WANTED)
    assert [(study.uid, study.moment) for study in reader.studies()] == [("1.2.1", "")]
    assert reader.completion == ""


def test_it_knows_its_parts_and_whether_it_is_of_all_studies() -> None:
    scope = Scope(InventoryLevel.STUDY, BEGAN, conditions={MODALITY: ["CT"]})
    reader = InventoryReader(iter([data_set(scope=scope, parts=("1.2.7", "1.2.8"))]), LITTLE, WANTED)
    assert list(reader.studies()) == []
    assert (reader.parts, reader.limited, reader.level) == (["1.2.7", "1.2.8"], True, InventoryLevel.STUDY)


def test_one_that_is_cut_off_anywhere_is_refused() -> None:
    data = data_set(STUDY, STUDY)
    total = 20  # bytes of the last element, the total of all parts, which a reader does not need
    for end in range(len(data) - total):
        with pytest.raises(NotUnderstood):
            list(InventoryReader(iter([data[:end]]), LITTLE, WANTED).studies())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda ds: setattr(ds, "InventoryLevel", "PATIENT"), "Inventory Level"),
        (lambda ds: setattr(ds, "NumberOfStudyRecordsInInstance", 3), "says that it has '3'"),
        (lambda ds: delattr(ds, "NumberOfStudyRecordsInInstance"), "says that it has ''"),
        (lambda ds: setattr(ds.InventoriedStudiesSequence[0], "StudyInstanceUID", None), "Study Instance UID"),
        (
            lambda ds: delattr(ds.InventoriedStudiesSequence[0].InventoriedSeriesSequence[0], "SeriesInstanceUID"),
            "Series Instance UID",
        ),
    ],
)
def test_one_that_is_wrong_is_refused_in_words(change: object, words: str) -> None:
    ds = plain(data_set(STUDY))
    assert callable(change)
    change(ds)
    with pytest.raises(NotUnderstood, match=words):
        list(InventoryReader(iter([by_another(ds, LITTLE)]), LITTLE, WANTED).studies())


def test_a_record_beyond_the_limit_is_refused_before_it_is_read() -> None:
    head = data_set(STUDY)[: data_set(STUDY).index(pack("<HHI", 0xFFFE, 0xE000, 0)[:4])]

    def endless() -> Iterator[bytes]:
        yield head + pack("<HHI", 0xFFFE, 0xE000, 0xF0000000) + bytes(8)
        pytest.fail("it was read on")

    with pytest.raises(NotUnderstood, match="are not read"):
        list(InventoryReader(endless(), LITTLE, WANTED, max_record=1 << 20).studies())


def test_a_deep_nest_is_read_only_up_to_the_limit() -> None:
    head = data_set(STUDY)[: data_set(STUDY).index(pack("<HHI", 0xFFFE, 0xE000, 0)[:4])]
    deep = pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + pack("<HH2sHI", 0x0008, 0x0424, b"SQ", 0, 0xFFFFFFFF)
    fed = 0

    def endless() -> Iterator[bytes]:
        nonlocal fed
        yield head
        while True:
            fed += len(deep) * 4000
            yield deep * 4000

    with pytest.raises(NotUnderstood):
        list(InventoryReader(endless(), LITTLE, WANTED, max_record=1 << 20).studies())
    assert fed < 4 << 20
