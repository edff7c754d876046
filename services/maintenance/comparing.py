"""Compares two objects, for a person who must choose between them: which attributes differ, and do the pixels?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.pixels import iter_pixels

from gantry.common.dicom.standard.dictionary import keyword_of_tag

_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_TRANSFER_SYNTAX_UID = 0x00020010
_BINARY = ("OB", "OD", "OF", "OL", "OV", "OW", "UN")


@dataclass(frozen=True, slots=True)
class AttributeDifference:
    """One attribute: its `path` of keywords (or tags, without a keyword) and item numbers, from 1; None if an object
    has no such attribute. A sequence that one of them lacks is listed once, without its items."""

    path: str
    one: str | None
    other: str | None


@dataclass(frozen=True, slots=True)
class ObjectComparison:
    """`same_pixels` is None if that cannot be determined; `pixels` gives the result in words, and why."""

    differences: list[AttributeDifference] = field(default_factory=list)
    same_pixels: bool | None = None
    pixels: str = ""


def compare(path: Path, other: Path) -> ObjectComparison:
    """Compare two Part 10 files. Pixels are compared as samples, a frame of each at a time: the same picture may be
    encoded in two ways. Raises `OSError`, and `ValueError` for a file that cannot be read as DICOM."""
    try:
        sets = pydicom.dcmread(path, force=True), pydicom.dcmread(other, force=True)
        differences = list(_syntaxes(*sets)) + list(_data_sets(*sets, ""))
    except OSError:
        raise
    except Exception as error:  # values may be invalid for their VR in any way
        raise ValueError(f"cannot be read: {error}") from error
    return ObjectComparison(differences, *_pixels(path, other, *sets))


def _syntaxes(data_set: Dataset, other: Dataset) -> Iterator[AttributeDifference]:
    values = [str(each.file_meta.get(_TRANSFER_SYNTAX_UID, Dataset()).value) for each in (data_set, other)]
    if values[0] != values[1]:
        yield AttributeDifference("TransferSyntaxUID", *values)


def _data_sets(data_set: Dataset, other: Dataset, path: str) -> Iterator[AttributeDifference]:
    for tag in sorted({*data_set.keys(), *other.keys()}):
        if tag in _PIXELS or tag.element == 0:
            continue
        yield from _elements(data_set.get(tag), other.get(tag), f"{path}{keyword_of_tag(int(tag)) or tag}")


def _elements(element: DataElement | None, other: DataElement | None, path: str) -> Iterator[AttributeDifference]:
    if element is not None and other is not None and element.VR == other.VR == "SQ":
        if len(element.value) != len(other.value):
            yield AttributeDifference(path, _text(element), _text(other))
        for number, items in enumerate(zip(element.value, other.value, strict=False), 1):
            yield from _data_sets(*items, f"{path}[{number}].")
    elif element is None or other is None or element.value != other.value:
        yield AttributeDifference(path, _text(element), _text(other))


def _text(element: DataElement | None) -> str | None:
    if element is None:
        return None
    if element.VR == "SQ":
        return f"{len(element.value)} items"
    if element.VR in _BINARY and isinstance(element.value, bytes):
        return f"{len(element.value)} bytes"
    values = element.value if element.VM > 1 else [element.value]
    return "\\".join("" if value is None else str(value) for value in values)


def _pixels(path: Path, other: Path, first: Dataset, second: Dataset) -> tuple[bool | None, str]:
    presence = [any(tag in each for tag in _PIXELS) for each in (first, second)]
    if not any(presence):
        return None, "no pixel data"
    if not all(presence):
        return False, "one of them has no pixel data"
    if all(first.get(tag) == second.get(tag) for tag in _PIXELS) and not list(_syntaxes(first, second)):
        return True, "the same bytes"
    try:
        return _samples(iter_pixels(path), iter_pixels(other))
    except Exception as error:  # decoders raise exceptions of any type
        return None, f"other bytes; the pictures cannot be compared: {error}"


def _samples(arrays: Iterator[np.ndarray], other: Iterator[np.ndarray]) -> tuple[bool, str]:
    """Compare frame by frame, so that only one frame of each is in memory."""
    frames = changed = samples = 0
    largest = 0.0
    for first, second in zip_longest(arrays, other):
        if first is None or second is None:
            return False, f"one of them has {frames} frames, the other more"
        frames += 1
        if first.shape != second.shape:
            return False, f"frame {frames} is {_size(first)} in one, and {_size(second)} in the other"
        far = np.abs(first.astype(np.float64) - second.astype(np.float64))
        changed += bool(far.any())
        samples += int(np.count_nonzero(far))
        largest = max(largest, float(far.max(initial=0.0)))
    if not changed:
        return True, "other bytes, the same samples"
    return False, f"{samples} samples in {changed} of {frames} frames differ, at most by {largest:g}"


def _size(frame: np.ndarray) -> str:
    return " x ".join(map(str, frame.shape))
