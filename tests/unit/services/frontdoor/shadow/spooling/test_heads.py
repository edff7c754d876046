"""The heads of files in the spool, and which are refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gantry.common.net.proxy import Origin
from gantry.services.frontdoor.shadow.spooling import files
from gantry.services.frontdoor.shadow.spooling.heads import About, StoredHead, ending, head_in, head_length
from tests.support.wire import CT, EXPLICIT

HEAD = StoredHead("AAAA", CT, EXPLICIT, 0xB000, 0.25)
ABOUT = About("dimse", "other", "GANTRY", "CT1", Origin("10.0.0.1", 4711, tls=True, certificate="CN=ct1"))


def test_a_head_comes_back_as_it_was() -> None:
    end = ending(HEAD.to_json())
    length = head_length(end[-12:])
    assert StoredHead.of(head_in(end[:length])) == HEAD
    assert len(end) == length + 12


@pytest.mark.parametrize(
    "end", [b"", b"short", bytes(12), b"\xff\xff\xff\xffGSPOOL1\n"], ids=["nothing", "short", "no mark", "too long"]
)
def test_what_was_not_written_whole_is_none(end: bytes) -> None:
    with pytest.raises(ValueError, match="not written whole"):
        head_length(end)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"[" * 100_000], ids=["nothing", "broken", "a list", "deep"])
def test_a_head_that_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="a head that is no"):
        head_in(text)


@pytest.mark.parametrize(
    "changed",
    [
        {"command": 1},
        {"abstract_syntax": "../etc"},
        {"transfer_syntax": None},
        {"status": -1},
        {"status": "0"},
        {"seconds": "long"},
    ],
)
def test_a_head_without_what_it_needs_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="a head without"):
        StoredHead.of({**HEAD.to_json(), **changed})


def test_whose_it_is_comes_back_as_it_was() -> None:
    assert About.from_json(ABOUT.to_json()) == ABOUT


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b'{"version": 2, "kind": "dimse", "to": "other"}',
        b'{"version": 1, "kind": "dimse", "to": "elsewhere"}',
        b'{"version": 1, "kind": "dimse", "to": "other", "called": "", "calling": "A"}',
        b'{"version": 1, "kind": "dimse", "to": "other", "called": "A", "calling": "B", "origin": {"port": "x"}}',
        b'{"version": 1, "kind": "http", "to": "other", "origin": []}',
    ],
)
def test_a_line_that_is_none_of_ours_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="a line"):
        About.from_json(text)


async def test_an_object_is_read_back_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_AHEAD", 1000)
    files.make_line(tmp_path / "line", ABOUT)
    writing = files.Writing(tmp_path / "line", 7)
    data = bytes(range(256)) * 20
    writing.append(data[:3000])
    writing.append(bytearray(data[3000:]))
    assert not files.path_of(tmp_path / "line", 7).exists()
    writing.finish(HEAD.to_json())
    assert files.read_head(tmp_path / "line", 7) == HEAD.to_json()
    source, length = files.open_object(tmp_path / "line", 7)
    assert length == len(data)
    read, buffers = b"", [bytearray(300), bytearray(400)]
    while count := await source.readinto([memoryview(buffer) for buffer in buffers]):
        read += b"".join(bytes(buffer) for buffer in buffers)[:count]
    assert read == data
    await source.close()


def test_what_lies_there_beside_is_not_believed(tmp_path: Path) -> None:
    fd = files.own_folder(tmp_path, "_.first")
    line = tmp_path / "_.first" / "line"
    files.make_line(line, ABOUT)
    (line / "00000001").write_bytes(b"whole or not, it is seen when it is sent")
    (line / "00000002.part").write_bytes(b"half")
    (line / "00000003").symlink_to("/etc/hostname")
    (tmp_path / "_.first" / "nobody's").mkdir()
    (tmp_path / "_.first" / "nobody's" / "00000001").write_bytes(b"x")
    other = files.own_folder(tmp_path, "_.second")
    assert files.take_over(tmp_path, "_.", "_.second") == files.SpoolContents()  # the first one lives
    os.close(fd)
    files.own_folder(tmp_path, "north.third")
    files_found = files.take_over(tmp_path, "_.", "_.second")
    assert (files_found.owners, files_found.broken) == (["first"], 3)
    assert [
        (spooled_line.about, [number for number, _, _ in spooled_line.entries]) for spooled_line in files_found.lines
    ] == [(ABOUT, [1])]
    assert (tmp_path / "north.third").exists()
    assert not (tmp_path / "_.first").exists()
    os.close(other)


def test_a_folder_that_was_taken_for_one_that_was_left_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = files.fcntl.flock
    times: list[int] = []

    def slow(fd: int, how: int) -> None:
        times.append(how)
        if len(times) == 1:  # another process was faster, and has removed it
            shutil.rmtree(tmp_path / "_.own")
        lock(fd, how)

    monkeypatch.setattr(files.fcntl, "flock", slow)
    fd = files.own_folder(tmp_path, "_.own")
    monkeypatch.undo()
    other = files.own_folder(tmp_path, "_.other")
    assert files.take_over(tmp_path, "_.", "_.other") == files.SpoolContents()
    assert (tmp_path / "_.own").exists()
    os.close(fd)
    os.close(other)
