"""Identifiers for queries and retrievals, written and read with pydicom: the command line talks to any archive."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import Any

import click
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.tag import Tag

from libs.common.ul import AcceptedContext

IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
BOTH = (EXPLICIT_LE, IMPLICIT_LE)

LEVELS = ("PATIENT", "STUDY", "SERIES", "IMAGE")

DEFAULT_KEYS = {
    "PATIENT": ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    "STUDY": (
        "PatientName",
        "PatientID",
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "StudyDescription",
        "ModalitiesInStudy",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
        "StudyInstanceUID",
    ),
    "SERIES": (
        "StudyInstanceUID",
        "Modality",
        "SeriesNumber",
        "SeriesDescription",
        "NumberOfSeriesRelatedInstances",
        "SeriesInstanceUID",
    ),
    "IMAGE": ("StudyInstanceUID", "SeriesInstanceUID", "InstanceNumber", "SOPClassUID", "SOPInstanceUID"),
}


def identifier(level: str, keys: Iterable[str]) -> Dataset:
    """An identifier from keys of the form `PatientName=DOE*`, `StudyDate` (return it), `0010,0020=4711`, or
    `RequestAttributesSequence.ScheduledProcedureStepID=S1` (of an item of a sequence)."""
    ds = Dataset()
    ds.QueryRetrieveLevel = level
    for key in keys:
        name, _, value = key.partition("=")
        setattr_by_name(ds, name, value)
    if not _is_ascii(ds):
        ds.SpecificCharacterSet = "ISO_IR 192"
    return ds


def setattr_by_name(ds: Dataset, name: str, value: str) -> None:
    """Set an element named by keyword or by `gggg,eeee`, below sequences with a dot between; several values are
    separated by a backslash."""
    sequence, dot, below = name.partition(".")
    if dot:
        keyword = _keyword(sequence)
        if dictionary_VR(keyword) != "SQ":
            raise click.BadParameter(f"{sequence!r} is no sequence")
        if not ds.get(keyword):
            setattr(ds, keyword, [Dataset()])
        setattr_by_name(ds[keyword].value[0], below, value)
        return
    keyword = _keyword(name)
    if dictionary_VR(keyword) == "SQ":
        if value:
            raise click.BadParameter(f"{name!r} is a sequence: {name}.KEYWORD=VALUE")
        setattr(ds, keyword, [])
        return
    values: Any = value.split("\\") if "\\" in value else value
    setattr(ds, keyword, values or None)


def _keyword(name: str) -> str:
    tag = tag_for_keyword(name)
    if tag is None:
        try:
            group, element = name.strip("()").split(",")
            tag = Tag(int(group, 16), int(element, 16))
        except ValueError:
            raise click.BadParameter(f"{name!r} is neither a DICOM keyword nor a tag like 0010,0020") from None
    keyword: str = keyword_for_tag(tag)
    if not keyword:
        raise click.BadParameter(f"{name!r} is not in the data dictionary")
    return keyword


def _is_ascii(ds: Dataset) -> bool:
    return all(str(element.value).isascii() for element in ds.iterall())


def encode(ds: Dataset, context: AcceptedContext) -> bytes:
    """The identifier's bytes in the context's transfer syntax."""
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, context.transfer_syntax == IMPLICIT_LE
    write_dataset(out, ds)
    encoded: bytes = out.getvalue()
    return encoded


def decode(data: bytes, context: AcceptedContext) -> Dataset:
    """An identifier from a response."""
    return read_dataset(BytesIO(data), is_implicit_VR=context.transfer_syntax == IMPLICIT_LE, is_little_endian=True)


def text(ds: Dataset, keyword: str) -> str:
    """A value for a table."""
    value = ds.get(keyword, "")
    if value is None:
        return ""
    return "\\".join(map(str, value)) if isinstance(value, (list, tuple)) or hasattr(value, "append") else str(value)
