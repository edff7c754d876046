"""Paths of exported objects: readable paths, and file IDs of DICOM media (PS3.10 8.2). Pure.

Both are made from the exported object only, never from its values before de-identification.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Protocol

_ELSE = re.compile(r"[^A-Za-z0-9.-]+")
_PART = 40
_DEVICE = re.compile(r"(?:CON|PRN|AUX|NUL|COM\d|LPT\d)(?:\..*)?", re.IGNORECASE)
"""Names that Windows treats as devices, with any extension."""


@dataclass(frozen=True, slots=True)
class Exported:
    """An object in the index of an export. `attributes` holds those for paths and directories, by keyword, as text."""

    patient: str
    study: str
    series: str
    instance: str
    sop_class: str
    transfer_syntax: str
    attributes: Mapping[str, str] = field(default_factory=dict, compare=False)


class Names(Protocol):
    """Assigns paths."""

    def path(self, exported: Exported) -> PurePosixPath:
        """The path of this object, relative to the export; unique for each object."""

    def learn(self, exported: Exported, path: PurePosixPath) -> None:
        """Record that an object has this path already."""


class ReadableNames:
    """PATIENT/DATE_DESCRIPTION_xxxxxx/NUMBER_MODALITY_DESCRIPTION_xxxxxx/NUMBER_xxxxxxxxxx.dcm: the same in every
    run."""

    def path(self, exported: Exported) -> PurePosixPath:
        """See `Names`. Each part ends in a digest of a UID, so that equal descriptions stay apart."""
        attributes = exported.attributes
        study = _joined(
            attributes.get("StudyDate", ""),
            attributes.get("StudyDescription", "") or "study",
            _short(exported.study, 6),
        )
        series = _joined(
            _number(attributes.get("SeriesNumber", ""), 3),
            attributes.get("Modality", ""),
            attributes.get("SeriesDescription", ""),
            _short(exported.series, 6),
        )
        name = _joined(_number(attributes.get("InstanceNumber", ""), 5), _short(exported.instance, 10))
        return PurePosixPath(_joined(exported.patient or "unknown"), study, series, f"{name}.dcm")

    def learn(self, exported: Exported, path: PurePosixPath) -> None:
        """See `Names`: does nothing, since paths do not depend on each other."""


class MediaNames:
    """PTnnnnnn/STnnnnnn/SEnnnnnn/IMnnnnnn: file IDs of eight capital letters and digits (PS3.10 8.2, 8.5)."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, ...], str] = {}
        self._last: dict[tuple[str, ...], int] = {}

    def path(self, exported: Exported) -> PurePosixPath:
        """See `Names`."""
        parts: list[str] = []
        for key, prefix in zip(_keys(exported), ("PT", "ST", "SE", "IM"), strict=True):
            if key not in self._numbers:
                self._number(key, tuple(parts), f"{prefix}{self._last.get(tuple(parts), 0) + 1:06d}")
            parts.append(self._numbers[key])
        return PurePosixPath(*parts)

    def learn(self, exported: Exported, path: PurePosixPath) -> None:
        """See `Names`."""
        for depth, key in enumerate(_keys(exported)):
            self._number(key, path.parts[:depth], path.parts[depth])

    def _number(self, key: tuple[str, ...], above: tuple[str, ...], name: str) -> None:
        self._numbers[key] = name
        self._last[above] = max(self._last.get(above, 0), int(name[2:]))


def _keys(exported: Exported) -> list[tuple[str, ...]]:
    whole = (exported.patient, exported.study, exported.series, exported.instance)
    return [whole[: depth + 1] for depth in range(4)]


def _short(uid: str, length: int) -> str:
    return sha256(uid.encode()).hexdigest()[:length]


def _number(text: str, width: int) -> str:
    return f"{int(text):0{width}d}" if text.isascii() and text.isdigit() and len(text) < 10 else ""


def _joined(*parts: str) -> str:
    """Join parts, so that any file system accepts the result: no part begins with a dot, or is the name of a device."""
    clean = [_ELSE.sub("-", part).strip("-.")[:_PART].rstrip("-.") for part in parts]
    joined = "_".join(part for part in clean if part)
    return joined if joined and not _DEVICE.fullmatch(joined) else f"_{joined}"
