"""Folders of Part 10 files as a source. What was found stays in the job file; a file that has changed is read again."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import islice
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from gantry.cli.files import DicomFile, Skipped, look, walk
from gantry.cli.importing.job import Job
from gantry.cli.importing.model import ATTRIBUTES, Instance, Instances, Study

_AT_ONCE = 200
_PORTION = 100
_HEADS = ("StudyInstanceUID", "SeriesInstanceUID", *ATTRIBUTES)
_Looked = tuple[DicomFile, dict[str, str], int]


class Folders:
    """Files below `paths`. `skipped` is told of what is no DICOM file, with the reason."""

    def __init__(self, paths: Iterable[Path], job: Job, skipped: Callable[[Skipped], None]) -> None:
        self._paths = list(paths)
        self._db = job.db
        self._skipped = skipped

    async def studies(self) -> AsyncIterator[Study]:
        """See `Source`: all files are looked at first, so that each study is listed whole."""
        attributes: dict[str, dict[str, str]] = {}
        files = walk(self._paths)
        while some := list(islice(files, _AT_ONCE)):
            for looked in await asyncio.to_thread(self._look_at, some):
                if isinstance(looked, Skipped):
                    self._skipped(looked)
                    continue
                file, head, changed = looked
                attributes.setdefault(head["StudyInstanceUID"], head)
                self._keep(file, head, changed)
        counts = "SELECT study, count(DISTINCT instance) FROM files GROUP BY study ORDER BY study"
        for study, count in self._db.execute(counts).fetchall():
            if study in attributes:
                yield Study(study, {name: attributes[study].get(name, "") for name in ATTRIBUTES}, count)

    async def instances(self, study: str) -> Instances:
        """See `Source`. Of several files of one instance the first by name counts."""
        of_study = (
            "SELECT path, series, instance, class, syntax, start, length FROM files WHERE study = ? ORDER BY path DESC"
        )
        rows = self._db.execute(of_study, (study,)).fetchall()
        return {
            uid: Instance(series, sop_class, DicomFile(Path(path), sop_class, uid, syntax, start, length))
            for path, series, uid, sop_class, syntax, start, length in rows
        }

    async def fetch(self, study: str, wanted: Instances, folder: Path) -> AsyncIterator[list[DicomFile]]:
        """See `Source`: the files where they lie."""
        files = [one.file for one in wanted.values() if one.file is not None]
        for start in range(0, len(files), _PORTION):
            yield [file for file in files[start : start + _PORTION] if file.path.exists()]

    async def close(self) -> None:
        """See `Source`."""

    def _look_at(self, paths: list[Path]) -> list[_Looked | Skipped]:
        return [look_into(path) for path in paths]

    def _keep(self, file: DicomFile, head: dict[str, str], changed: int) -> None:
        values = (
            str(file.path), head["StudyInstanceUID"], head["SeriesInstanceUID"], file.sop_instance_uid,
            file.sop_class_uid, file.transfer_syntax_uid, file.offset, file.length, changed,
        )  # fmt: skip
        self._db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def look_into(path: Path) -> _Looked | Skipped:
    """A file with what it says of its study, and when it was changed (ns). Its own UIDs count, not its meta's."""
    file = look(path)
    if isinstance(file, Skipped):
        return file
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tags = [*_HEADS, "SOPInstanceUID", "SpecificCharacterSet"]
            head = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)
            said = {name: str(head.get(name, "") or "") for name in _HEADS}
            uid = str(head.get("SOPInstanceUID", "") or file.sop_instance_uid)
        changed = path.stat().st_mtime_ns
    except (
        OSError,
        InvalidDicomError,
        ValueError,
        KeyError,
        AttributeError,
        TypeError,
        NotImplementedError,
        EOFError,
    ) as error:
        return Skipped(path, f"{type(error).__name__}: {error}")
    if not said["StudyInstanceUID"] or not uid:
        return Skipped(path, "it names no study or no instance")
    if uid != file.sop_instance_uid:
        return Skipped(path, "its data set and its file meta information name different instances")
    return file, said, changed
