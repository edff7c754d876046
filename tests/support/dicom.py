"""Data sets for tests: pydicom's bundled files, and generated ones."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import pydicom
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from gantry.common.dicom.standard.transfer_syntaxes import encoding_of

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
SYNTAXES = (IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN)

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"


def bundled() -> list[Path]:
    """The DICOM files bundled with pydicom; nothing is downloaded."""
    return sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm"))


def bundled_file(name: str) -> Path:
    """One of them."""
    return Path(pydicom.__file__).parent / "data" / "test_files" / name


def to_bytes(data_set: Dataset, transfer_syntax: str, explicit_lengths: bool = True) -> bytes:
    """The data set as pydicom writes it."""
    encoding = encoding_of(transfer_syntax)
    target = pydicom.filebase.DicomBytesIO()
    target.is_implicit_VR = not encoding.explicit
    target.is_little_endian = not encoding.big_endian
    if not explicit_lengths:
        _undefined_lengths(data_set)
    write_dataset(target, data_set)
    data: bytes = target.getvalue()
    if encoding.deflated:
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = deflate.compress(data) + deflate.flush()
        data += b"\0" * (len(data) & 1)
    return data


def from_bytes(data: bytes, transfer_syntax: str, **options: object) -> Dataset:
    """The data set as pydicom reads it."""
    encoding = encoding_of(transfer_syntax)
    if encoding.deflated:
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data)
    return pydicom.filereader.read_dataset(io.BytesIO(data), not encoding.explicit, not encoding.big_endian, **options)


def _undefined_lengths(data_set: Dataset) -> None:
    for element in data_set:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
                _undefined_lengths(item)


uids = st.lists(st.integers(0, 99999).map(str), min_size=2, max_size=6).map(lambda parts: "1.2." + ".".join(parts))
_texts = st.text("abcXYZ 0123^-", max_size=20)


_binary = st.binary(max_size=4000).map(lambda b: b + b"\0" * (len(b) & 1))
# Created once: creating a strategy for each example costs more than the example.
_values: st.SearchStrategy[tuple[int, str, object]] = st.one_of(
    st.tuples(st.sampled_from([0x00081030, 0x00100020, 0x00180015]), st.just("LO"), _texts),
    st.tuples(st.just(0x00280010), st.just("US"), st.integers(0, 65535)),
    st.tuples(st.just(0x00281050), st.just("DS"), st.integers(-999, 999).map(str)),
    st.tuples(st.just(0x00186031), st.just("CS"), st.sampled_from(["", "CW", "BIDIRECTIONAL"])),
    st.tuples(st.just(0x00204000), st.just("LT"), _texts),
    st.tuples(st.just(0x00091001), st.just("UN"), _binary),
    st.tuples(st.just(0x00420011), st.just("OB"), _binary),
)


def _fill(data_set: Dataset, values: list[tuple[int, str, object]]) -> Dataset:
    for tag, vr, value in values:
        data_set[tag] = DataElement(tag, vr, value)
    return data_set


def _items() -> st.SearchStrategy[Dataset]:
    plain = st.lists(_values, max_size=4).map(lambda values: _fill(Dataset(), values))

    def nest(children: st.SearchStrategy[Dataset]) -> st.SearchStrategy[Dataset]:
        def make(values: list[tuple[int, str, object]], items: list[Dataset], uid: str) -> Dataset:
            item = _fill(Dataset(), values)
            item.StudyInstanceUID = uid
            item.add_new(0x00081140, "SQ", Sequence(items))
            return item

        return st.builds(make, st.lists(_values, max_size=3), st.lists(children, max_size=3), uids)

    return st.recursive(plain, nest, max_leaves=6)


_some_values = st.lists(_values, max_size=6)
_sequences = st.dictionaries(
    st.sampled_from([0x00081115, 0x00400275, 0x52009230]), st.lists(_items(), max_size=3), max_size=3
)
_pixels = st.binary(max_size=300).map(lambda b: b * 2)


@st.composite
def data_sets(draw: st.DrawFn) -> Dataset:
    """A composite instance with nested sequences, bulk values, and perhaps pixel data and elements after it."""
    data_set = _fill(Dataset(), draw(_some_values))
    data_set.SOPClassUID = draw(uids)
    data_set.SOPInstanceUID = draw(uids)
    data_set.StudyInstanceUID = draw(uids)
    data_set.SeriesInstanceUID = draw(uids)
    for tag, items in draw(_sequences).items():
        data_set.add_new(tag, "SQ", Sequence(items))
    if draw(st.booleans()):
        data_set.add_new(0x7FE00010, "OW", draw(_pixels))
        if draw(st.booleans()):
            data_set.add_new(0xFFFCFFFC, "OB", b"\0" * 20)
    return data_set


@st.composite
def chunks_of(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The same bytes, cut anywhere."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)])]
