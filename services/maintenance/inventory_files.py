"""Inventories as files: one, or a root and its parts if there are more instances than one object should have.

A file gets its name when it is complete, and the root gets its name last: if the root exists, everything does.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gantry.common.dicom.inventory.records import InventoriedStudy, Scope
from gantry.common.dicom.inventory.writing import InventoryWriter
from gantry.common.ids import new_uid


@dataclass(frozen=True, slots=True)
class InventoryPart:
    """A complete Inventory SOP Instance without its final name."""

    path: Path
    uid: str
    studies: int


class InventoryFiles:
    """Takes studies one by one. A file has up to `most` instances, plus the rest of the study that reaches this; a
    study counts as one more."""

    def __init__(self, path: Path, scope: Scope, most: int) -> None:
        """`path` is that of the root; parts are beside it, `NAME-0001.dcm` and so on."""
        self._path = path
        self._scope = scope
        self._most = most
        self._parts: list[InventoryPart] = []
        self._open: tuple[BinaryIO, InventoryWriter] | None = None
        self._size = 0
        self.studies = 0
        self.instances = 0

    def add(self, study: InventoriedStudy) -> None:
        """Write a study. Raises `OSError`."""
        if self._open is None or self._size >= self._most:
            self._close()
            self._open = self._begin(InventoryWriter(new_uid(), self._scope))
            self._size = 0
        file, writer = self._open
        file.write(writer.study(study))
        instances = sum(len(series.instances) for series in study.series)
        self._size += instances + 1
        self.studies += 1
        self.instances += instances

    def finish(self) -> list[Path]:
        """Make everything durable and give it its name. Returns the paths, the root first. Raises `OSError`."""
        self._close()
        if len(self._parts) != 1:
            uids = [part.uid for part in self._parts]
            self._open = self._begin(InventoryWriter(new_uid(), self._scope, uids, self.studies))
            self._close()
        *parts, root = self._parts
        names = [self._path.with_name(f"{self._path.stem}-{n:04}.dcm") for n in range(1, len(parts) + 1)]
        for part, name in zip((*parts, root), (*names, self._path), strict=True):
            part.path.replace(name)
        _fsync_folder(self._path.parent)
        return [self._path, *names]

    def discard(self) -> None:
        """Remove the files without a final name."""
        self._close()
        for part in self._parts:
            part.path.unlink(missing_ok=True)

    def _begin(self, writer: InventoryWriter) -> tuple[BinaryIO, InventoryWriter]:
        file = self._unfinished(len(self._parts)).open("wb")
        file.write(writer.begin())
        return file, writer

    def _close(self) -> None:
        if self._open is None:
            return
        (file, writer), self._open = self._open, None
        with file:
            file.write(writer.end())
            file.flush()
            os.fsync(file.fileno())
        self._parts.append(InventoryPart(Path(file.name), writer.uid, writer.studies))

    def _unfinished(self, number: int) -> Path:
        return self._path.with_name(f".{self._path.name}.{number:04}.unfinished")


def _fsync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
