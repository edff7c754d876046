"""Folders of Part 10 files as a source. The job file records the files, so that each study is sent as a whole."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

import pydicom

from gantry.cli.files import DicomFile, Skipped, look, walk
from gantry.cli.importing.job import ImportJob
from gantry.cli.importing.model import ATTRIBUTES, Instance, Instances, Study, Withheld
from gantry.cli.output import printable

_AT_ONCE = 200
_PORTION = 100
_CHUNK = 1 << 18
_HEADS = ("StudyInstanceUID", "SeriesInstanceUID", *ATTRIBUTES)
_Looked = tuple[DicomFile, dict[str, str], int]


class FolderFiles:
    """Files below `paths`. `skipped` is called for each file that is not DICOM, with the reason."""

    def __init__(self, paths: Iterable[Path], job: ImportJob, skipped: Callable[[Skipped], None]) -> None:
        self._paths = list(paths)
        self._db = job.db
        self._skipped = skipped

    async def studies(self) -> AsyncIterator[Study]:
        """See `Source`: all files are read first, so that each study is listed completely."""
        attributes: dict[str, dict[str, str]] = {}
        self._db.execute("CREATE TEMP TABLE IF NOT EXISTS seen (path PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("DELETE FROM seen")
        files = walk(self._paths, self._skipped)
        while batch := list(islice(files, _AT_ONCE)):
            looked = await asyncio.to_thread(self._look_at, batch)
            self._db.execute("BEGIN")
            for entry in looked:
                if isinstance(entry, Skipped):
                    self._skipped(entry)
                    continue
                file, head, changed = entry
                attributes.setdefault(head["StudyInstanceUID"], head)
                self._keep(file, head, changed)
            self._db.execute("COMMIT")
        # Forget files that were moved or removed since an earlier run.
        self._db.execute("DELETE FROM files WHERE path NOT IN (SELECT path FROM seen)")
        counts = "SELECT study, count(DISTINCT instance) FROM files GROUP BY study ORDER BY study"
        for study, count in self._db.execute(counts).fetchall():
            yield Study(study, {name: attributes[study].get(name, "") for name in ATTRIBUTES}, count)

    async def instances(self, study: str) -> Instances:
        """See `Source`. If an instance has several files, the first by name is used."""
        rows = self._db.execute(
            "SELECT path, series, instance, class, syntax, start, length FROM files WHERE study = ? ORDER BY path",
            (study,),
        ).fetchall()
        by_uid: dict[str, Instance] = {}
        for path, series, uid, sop_class, syntax, start, length in rows:
            file = DicomFile(Path(os.fsdecode(path)), sop_class, uid, syntax, start, length)
            first = by_uid.get(uid)
            if first is None:
                by_uid[uid] = Instance(series, sop_class, file)
            elif not first.clash and first.file is not None and not await asyncio.to_thread(_same, first.file, file):
                clash = f"{_shown(file.path)} has its UID and other bytes: {_shown(first.file.path)} is used"
                by_uid[uid] = Instance(first.series, first.sop_class_uid, first.file, clash)
        return by_uid

    async def fetch(self, study: str, wanted: Instances, folder: Path) -> AsyncIterator[list[DicomFile | Withheld]]:
        """See `Source`: the files in place."""
        files = [instance.file for instance in wanted.values() if instance.file is not None]
        for start in range(0, len(files), _PORTION):
            yield [
                file if file.path.exists() else Withheld(file.sop_instance_uid, f"{_shown(file.path)} no longer exists")
                for file in files[start : start + _PORTION]
            ]

    async def close(self) -> None:
        """See `Source`."""

    def _look_at(self, paths: Sequence[Path]) -> list[_Looked | Skipped]:
        return [look_into(path) for path in paths]

    def _keep(self, file: DicomFile, head: dict[str, str], changed: int) -> None:
        path = _job_path(file.path)
        values = (
            path, head["StudyInstanceUID"], head["SeriesInstanceUID"], file.sop_instance_uid,
            file.sop_class_uid, file.transfer_syntax_uid, file.offset, file.length, changed,
        )  # fmt: skip
        self._db.execute("INSERT OR IGNORE INTO seen VALUES (?)", (path,))
        self._db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def _job_path(path: Path) -> str | bytes:
    """A path for the job file: the name of a file may be bytes that are not text."""
    name = os.fsencode(path)
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name


def _shown(path: Path) -> str:
    return printable(str(path))


def _same(file: DicomFile, other: DicomFile) -> bool:
    """Whether two files have the same data set, byte for byte, in the same transfer syntax. False if one of them cannot
    be read."""
    if (file.length, file.transfer_syntax_uid) != (other.length, other.transfer_syntax_uid):
        return False
    try:
        with file.path.open("rb") as first, other.path.open("rb") as second:
            first.seek(file.offset)
            second.seek(other.offset)
            while chunk := first.read(_CHUNK):
                if chunk != second.read(_CHUNK):
                    return False
    except OSError:
        return False
    return True


def look_into(path: Path) -> _Looked | Skipped:
    """A file with the attributes of its study, and its modification time (ns). The UIDs are those of the data set, not
    those of the file meta information."""
    file = look(path)
    if isinstance(file, Skipped):
        return file
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tags = [*_HEADS, "SOPInstanceUID", "SpecificCharacterSet"]
            head = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)
            values = {name: str(head.get(name, "") or "") for name in _HEADS}
            uid = str(head.get("SOPInstanceUID", "") or file.sop_instance_uid)
        changed = path.stat().st_mtime_ns
    except OSError as error:
        return Skipped(path, error.strerror or str(error), unreadable=True)
    except Exception as error:
        # For a damaged file pydicom raises many exceptions: zlib.error, struct.error, RecursionError …
        return Skipped(path, f"{type(error).__name__}: {error}")
    if not values["StudyInstanceUID"] or not uid:
        return Skipped(path, "it lacks a Study or SOP Instance UID")
    if uid != file.sop_instance_uid:
        return Skipped(path, "its data set and its file meta information name different instances")
    return file, values, changed
