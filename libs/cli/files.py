"""DICOM files on disk: finding them, reading their heads, and their bytes as a source."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gantry.common.dicom.encoding.part10 import needed, parse_meta
from gantry.common.errors import NotUnderstood

_HEAD = 2048
_MOST = 1 << 20


@dataclass(frozen=True, slots=True)
class DicomFile:
    """A Part 10 file; `length` is that of its data set in bytes."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that cannot be sent."""

    path: Path
    reason: str


def look(path: Path) -> DicomFile | Skipped:
    """Read the head of a file."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            while (want := needed(head)) > len(head) and len(head) < _MOST:
                more = file.read(want - len(head))
                if not more:
                    break
                head += more
            meta = parse_meta(head)
            size = os.fstat(file.fileno()).st_size
    except NotUnderstood as error:
        return Skipped(path, str(error))
    except OSError as error:
        return Skipped(path, error.strerror or str(error))
    return DicomFile(
        path,
        meta.sop_class_uid,
        meta.sop_instance_uid,
        meta.transfer_syntax_uid,
        meta.data_set_offset,
        size - meta.data_set_offset,
    )


def walk(paths: Iterable[Path]) -> Iterator[Path]:
    """All regular files: those named, and those below folders that are named, in order of names."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, subfolders, names in os.walk(path):
            subfolders.sort()
            for name in sorted(names):
                if name != "DICOMDIR" and not name.startswith("."):
                    yield Path(folder, name)


class FileSource:
    """The data set of a file as a `Source`: bytes go from the file straight into the PDUs."""

    def __init__(self, file: DicomFile) -> None:
        self._fd = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
        self._pos = file.offset
        self._end = file.offset + file.length

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        if self._pos >= self._end:
            return 0
        count = os.preadv(self._fd, buffers, self._pos)
        count = min(count, self._end - self._pos)
        self._pos += count
        return count

    async def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
