"""DICOM files on disk: finds them, reads their headers, and supplies their bytes as a source."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gantry.common.dicom.encoding.part10 import PREAMBLE_LENGTH, needed, parse_meta
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
    """A file that cannot be sent. `unreadable`: a file or folder that could not be read and may hold images."""

    path: Path
    reason: str
    unreadable: bool = False


def _at_once(path: str, flags: int) -> int:
    """Open without blocking: a FIFO would wait for a writer."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def look(path: Path) -> DicomFile | Skipped:
    """Read the header of a file."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return Skipped(path, "not a regular file")
        with open(path, "rb", opener=_at_once) as file:
            head = file.read(_HEAD)
            if not head:
                return Skipped(path, "empty")
            if len(head) < PREAMBLE_LENGTH + 4:
                return Skipped(path, "not a part 10 file: too short")
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
        return Skipped(path, error.strerror or str(error), unreadable=True)
    return DicomFile(
        path,
        meta.sop_class_uid,
        meta.sop_instance_uid,
        meta.transfer_syntax_uid,
        meta.data_set_offset,
        size - meta.data_set_offset,
    )


def walk(paths: Iterable[Path], skipped: Callable[[Skipped], None] = lambda _skipped: None) -> Iterator[Path]:
    """All files: those in `paths`, and those below folders in `paths`, in order of names. `skipped` is called for each
    folder that cannot be read, and for each link to a folder: links are not followed, since they may form a circle."""

    def failed(error: OSError) -> None:
        skipped(Skipped(Path(error.filename or ""), error.strerror or str(error), unreadable=True))

    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, subfolders, names in os.walk(path, onerror=failed):
            subfolders.sort()
            for name in subfolders:
                # `Path.is_symlink` raises if the folder may be listed but not entered.
                if os.path.islink(below := os.path.join(folder, name)):
                    skipped(Skipped(Path(below), "a link to a folder, which is not followed"))
            for name in sorted(names):
                if name != "DICOMDIR" and not name.startswith("."):
                    yield Path(folder, name)


class FileSource:
    """The data set of a file as a `Source`: bytes are read directly into the PDUs."""

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
