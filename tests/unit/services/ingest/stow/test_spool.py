"""`gantry.services.ingest.stow.spool`: many parts, one file."""

from __future__ import annotations

import os

from gantry.services.ingest.stow.spool import BulkSpool


def files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_thousands_of_parts_are_one_file_and_each_comes_back() -> None:
    before, spool = files(), BulkSpool()
    parts = []
    for n in range(3000):
        part = spool.part("application/octet-stream", "")
        for piece in (b"%d" % n, b"", b"-" * (n % 7)):
            part.write(piece)
        parts.append(part)
    assert files() - before <= 1
    for n, part in enumerate(parts):
        whole = b"%d" % n + b"-" * (n % 7)
        assert part.size == len(whole)
        assert part.read(0, 100) == whole
        assert part.read(1, 2) == whole[1:3]
        assert part.read(part.size, 10) == b""
    parts[-1].write(b"more")  # after reading
    assert parts[-1].read(parts[-1].size - 4, 100) == b"more"
    spool.close()
    assert files() == before


def test_part_of_nothing_needs_no_file() -> None:
    before, spool = files(), BulkSpool()
    assert spool.part("application/octet-stream", "").read(0, 10) == b""
    assert files() == before
    spool.close()
