"""Identifiers for queries and retrievals, written and read with pydicom, so that the command line works with any
archive."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from difflib import get_close_matches
from io import BytesIO
from typing import Any

import click
from pydicom.datadict import dictionary_VR, keyword_dict, keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.tag import Tag

from gantry.cli.dates import as_da
from gantry.common.clock import SystemClock
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from gantry.common.ul import AcceptedContext

BOTH = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN)

FEW_COLUMNS = {
    "PATIENT": ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    "STUDY": (
        "PatientName",
        "PatientID",
        "StudyDate",
        "ModalitiesInStudy",
        "NumberOfStudyRelatedInstances",
        "StudyInstanceUID",
    ),
    "SERIES": ("Modality", "SeriesNumber", "SeriesDescription", "NumberOfSeriesRelatedInstances", "SeriesInstanceUID"),
    "IMAGE": ("InstanceNumber", "SOPInstanceUID"),
}
"""The columns of a match that are shown by default."""

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
    with _without_warnings():  # the archive refuses invalid values with a reason
        for key in keys:
            name, _, value = key.partition("=")
            setattr_by_name(ds, name.strip(), value)
    if not _is_ascii(ds):
        ds.SpecificCharacterSet = "ISO_IR 192"
    return ds


def setattr_by_name(ds: Dataset, name: str, value: str) -> None:
    """Set an element named by keyword or by `gggg,eeee`, below sequences with a dot between; several values are
    separated by a backslash."""
    sequence, dot, below = name.partition(".")
    if dot:
        keyword = keyword_named(sequence)
        if dictionary_VR(keyword) != "SQ":
            raise click.BadParameter(f"{sequence!r} is not a sequence")
        if not ds.get(keyword):
            setattr(ds, keyword, [Dataset()])
        setattr_by_name(ds[keyword].value[0], below, value)
        return
    keyword = keyword_named(name)
    if dictionary_VR(keyword) == "SQ":
        if value:
            raise click.BadParameter(f"{name!r} is a sequence: {name}.KEYWORD=VALUE")
        setattr(ds, keyword, [])
        return
    if value and dictionary_VR(keyword) == "DA" and "\\" not in value and "*" not in value:
        try:
            value = as_da(value, _today())
        except ValueError as error:
            raise click.BadParameter(f"{name}: {error}") from None
    values: Any = value.split("\\") if "\\" in value else value
    setattr(ds, keyword, values or None)


def keyword_named(name: str) -> str:
    """The keyword that a keyword, `0010,0010`, `(0010,0010)` or `00100010` names. Raises `click.BadParameter`."""
    if tag_for_keyword(name) is not None:
        return name
    digits = name.strip("()").replace(",", "")
    try:
        tag = Tag(int(digits, 16)) if len(digits) == 8 else None
    except ValueError:
        tag = None
    if tag is None:
        raise click.BadParameter(f"{name!r} is neither a DICOM keyword nor a tag like 0010,0020{_did_you_mean(name)}")
    keyword: str = keyword_for_tag(tag)
    if not keyword:
        raise click.BadParameter(f"{name!r} is not in the data dictionary")
    return keyword


def _did_you_mean(name: str) -> str:
    known = {keyword.lower(): keyword for keyword in keyword_dict}
    close = get_close_matches(name.lower(), known, n=2, cutoff=0.75)
    return f": did you mean {' or '.join(known[keyword] for keyword in close)}?" if close else ""


def _today() -> date:
    return datetime.fromtimestamp(SystemClock().now_us() / 1e6, UTC).astimezone().date()


@contextmanager
def _without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _is_ascii(ds: Dataset) -> bool:
    return all(str(element.value).isascii() for element in ds.iterall())


def encode(ds: Dataset, context: AcceptedContext) -> bytes:
    """The identifier's bytes in the context's transfer syntax."""
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, context.transfer_syntax == IMPLICIT_LITTLE_ENDIAN
    with _without_warnings():
        write_dataset(out, ds)
    encoded: bytes = out.getvalue()
    return encoded


def decode(data: bytes, context: AcceptedContext) -> Dataset:
    """An identifier from a response."""
    return read_dataset(
        BytesIO(data), is_implicit_VR=context.transfer_syntax == IMPLICIT_LITTLE_ENDIAN, is_little_endian=True
    )


def text(ds: Dataset, keyword: str) -> str:
    """A value for a table, as encoded: a name is DOE^JANE."""
    value = ds.get(keyword, "")
    if value is None:
        return ""
    return "\\".join(map(str, value)) if isinstance(value, (list, tuple)) or hasattr(value, "append") else str(value)


def shown(ds: Dataset, keyword: str) -> str:
    """The same for display: dates in ISO 8601."""
    value = text(ds, keyword)
    if dictionary_VR(keyword) == "DA" and len(value) == 8 and value.isdigit():
        return f"{value[:4]}-{value[4:6]}-{value[6:]}"
    return value
