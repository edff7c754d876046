"""The target of an export: a folder, in which a later run continues, or a ZIP file, which is complete or absent."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from gantry.cli.exporting.names import Exported
from gantry.common.errors import ConfigError

INDEX = "INDEX.csv"
_FORM = ".gantry-export.json"
COLUMNS = ("path", "patient", "study", "series", "instance", "class", "transfer_syntax", "bytes")
_PIECE = 1 << 20


def begins_anew(where: Path) -> bool:
    """Whether each run replaces the result of earlier ones."""
    return where.suffix.lower() == ".zip"


class ExportTarget(Protocol):
    """Receives exported files."""

    def earlier_objects(self) -> Iterator[tuple[Exported, PurePosixPath]]:
        """The objects that an earlier run has exported."""

    def put(self, part: Path, path: PurePosixPath, exported: Exported) -> None:
        """Move a finished file into the target; `part` no longer exists afterwards."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file at the top; replaces an existing one."""

    def close(self, *, whole: bool) -> None:
        """End the export; `whole` is False if it was interrupted."""


class FolderTarget:
    """A folder. Each file is complete or absent, and is added to the index after it is written."""

    def __init__(self, folder: Path, form: Mapping[str, Any]) -> None:
        """`form` holds the options of the export. Raises `ConfigError` if the folder holds an export with other
        options, or something else."""
        self._folder = folder
        known = folder / _FORM
        if known.exists():
            if json.loads(known.read_text("utf-8")) != form:
                reason = "it holds an export with other options or another key; name another folder"
                raise ConfigError(str(folder), None, reason)
        elif folder.exists() and any(folder.iterdir()):
            raise ConfigError(str(folder), None, "it holds something else; name an empty folder, or one of an export")
        folder.mkdir(parents=True, exist_ok=True)
        known.write_text(json.dumps(form), "utf-8")
        self._index = (folder / INDEX).open("a+", newline="", encoding="utf-8")
        self._writer = csv.writer(self._index)
        if not self._index.tell():
            self._writer.writerow(COLUMNS)

    def earlier_objects(self) -> Iterator[tuple[Exported, PurePosixPath]]:
        """See `ExportTarget`."""
        with (self._folder / INDEX).open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if all(row.get(column) is not None for column in COLUMNS) and (self._folder / row["path"]).is_file():
                    exported = Exported(
                        row["patient"],
                        row["study"],
                        row["series"],
                        row["instance"],
                        row["class"],
                        row["transfer_syntax"],
                    )
                    yield exported, PurePosixPath(row["path"])

    def put(self, part: Path, path: PurePosixPath, exported: Exported) -> None:
        """See `ExportTarget`."""
        final = self._folder / path
        final.parent.mkdir(parents=True, exist_ok=True)
        size = part.stat().st_size
        beside = final.with_name(f".{final.name}.part")
        shutil.move(part, beside)
        beside.replace(final)
        self._writer.writerow(_row(path, exported, size))
        self._index.flush()

    def write(self, name: str, data: bytes) -> None:
        """See `ExportTarget`."""
        beside = self._folder / f".{name}.part"
        beside.write_bytes(data)
        beside.replace(self._folder / name)

    def close(self, *, whole: bool) -> None:
        """See `ExportTarget`: the files stay for the next run."""
        self._index.close()


class ZipTarget:
    """A ZIP file, written in one pass without compression, since images do not get smaller."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._zip = ZipFile(self._part, "w", ZIP_STORED, allowZip64=True)
        self._rows: list[list[str]] = []

    def earlier_objects(self) -> Iterator[tuple[Exported, PurePosixPath]]:
        """See `ExportTarget`: each run writes a new ZIP file."""
        return iter(())

    def put(self, part: Path, path: PurePosixPath, exported: Exported) -> None:
        """See `ExportTarget`."""
        size = part.stat().st_size
        with part.open("rb") as source, self._zip.open(_info(str(path), size), "w", force_zip64=True) as target:
            shutil.copyfileobj(source, target, _PIECE)
        part.unlink()
        self._rows.append(_row(path, exported, size))

    def write(self, name: str, data: bytes) -> None:
        """See `ExportTarget`."""
        self._zip.writestr(_info(name, len(data)), data)

    def close(self, *, whole: bool) -> None:
        """See `ExportTarget`: only a complete file gets its final name."""
        if whole:
            lines = [",".join(COLUMNS), *(_line(row) for row in self._rows)]
            self.write(INDEX, ("\r\n".join(lines) + "\r\n").encode())
        self._zip.close()
        if whole:
            with self._part.open("rb") as file:
                os.fsync(file.fileno())
            self._part.replace(self._path)
        else:
            with suppress(OSError):
                self._part.unlink()


def _row(path: PurePosixPath, exported: Exported, size: int) -> list[str]:
    return [
        str(path), exported.patient, exported.study, exported.series, exported.instance, exported.sop_class,
        exported.transfer_syntax, str(size),
    ]  # fmt: skip


def _line(row: list[str]) -> str:
    return ",".join('"' + cell.replace('"', '""') + '"' if set(cell) & set(',"\r\n') else cell for cell in row)


def _info(name: str, size: int) -> ZipInfo:
    """An entry with a fixed time stamp, so that the ZIP file does not reveal when it was exported."""
    info = ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.external_attr = 0o644 << 16
    info.file_size = size
    return info
