"""BAD_INPUTS.md, rows 10 to 20: objects that are none, or that are stored all the same."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

import pytest

from gantry.cli.files import DicomFile, look
from gantry.cli.retrieve import FolderService, get_to
from gantry.common.dicom.encoding.part10 import parse_meta
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_GET
from gantry.common.dimse import Command, Element
from gantry.common.ids import new_uid
from tests.conformance.conftest import EXPLICIT, MAX_OBJECT, Raw, Target
from tests.support.asking import find_matches, until
from tests.support.elements import (
    CT,
    ITEM,
    SEQUENCE_END,
    UNDEFINED,
    Made,
    element,
    even,
    fragments,
    implicit,
    nested,
)
from tests.support.wire import pdata, pdv, rq_bytes, store_command

IMPLICIT, BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
JPEG, JPEG_LS, JPEG_2000, RLE = (f"1.2.840.10008.1.2.{end}" for end in ("4.50", "4.80", "4.90", "5"))
NEARLY = 96 << 20
"""How much more memory the archive may keep after something big than before."""


async def get_as(target: Target, folder: Path, made: Made, syntax: str) -> tuple[Command, dict[str, bytes]]:
    """The final response of a C-GET of a study in one transfer syntax, and the data sets that came."""
    folder.mkdir(parents=True, exist_ok=True)
    service = FolderService(folder, [CT])
    keys = [f"StudyInstanceUID={made.study}"]
    final = await get_to(target.peer, service, [(CT, (syntax,))], STUDY_ROOT_GET, "STUDY", keys, timeout=90.0)
    assert final is not None
    whole = {path.stem: path.read_bytes() for path in service.received}
    return final, {uid: data[parse_meta(data).data_set_offset :] for uid, data in whole.items()}


async def expect_kept(target: Target, made: Made, folder: Path, syntax: str = EXPLICIT) -> None:
    """The object is found by its UID and comes back as it was sent."""
    assert await target.is_found(made)
    final, brought = await get_as(target, folder, made, syntax)
    assert final.status == 0x0000
    assert brought == {made.instance: made.data}


# ---- row 10

_NO_UIDS = [
    "../../x",
    "/etc/x",
    "..%2f",
    "C:\\x",
    "1.2\x00.3",
    "1.2\n",
    "1." * 32 + "1",
    "",
    "1..2",
    ".1",
    "1.",
    "1.2a",
]


@pytest.mark.parametrize("uid", _NO_UIDS, ids=lambda uid: f"row 10: {uid!r}")
async def test_a_uid_that_is_none_is_refused(target: Target, uid: str) -> None:
    made = Made()
    assert (await target.put_bytes(made.data, uid, CT, CT, EXPLICIT)).status in (0xC000, 0xA900)
    for tag, kind in ((0x00080018, "instance"), (0x0020000D, "study"), (0x0020000E, "series")):
        bad = Made((tag, element(tag, b"UI", even(uid, b"\0"))))
        command = uid if kind == "instance" and uid else bad.instance
        assert await target.put(bad, instance=command) in (0xC000, 0xA900), kind
    assert await find_matches(target.peer, "STUDY", f"StudyInstanceUID={made.study}") == []


async def test_row_10_leading_zeros_and_patient_ids_like_paths_are_stored_and_no_path(
    target: Target, tmp_path: Path
) -> None:
    objects = target.folder / "data" / "objects"
    for value in ("../../x", "/etc/x", "..%2f", "C:\\..", "\x00", "a\nb"):
        made = Made((0x00100020, element(0x00100020, b"LO", even(value))), instance=f"{new_uid()[:40]}.007")
        assert await target.put(made) == 0x0000
        await expect_kept(target, made, tmp_path / made.study)
    names = [str(path.relative_to(objects)) for path in objects.rglob("*") if path.is_file()]
    ours = re.compile(
        r"\.[a-z]+/.*|objects/default/[0-9a-f/]+(\.dcm)?|facts/default/[0-9a-f/]+\.seg|state/(verify|reconcile|usage|quota)/[0-9a-f]+\.json"
    )
    assert all(ours.fullmatch(name) for name in names), names[:3]
    assert {path.name for path in target.folder.iterdir()} <= {"data", "gantry.yaml", "log.txt", "well"}


# ---- row 11


async def test_row_11_what_command_and_data_set_do_not_agree_on_is_refused(target: Target) -> None:
    mr = "1.2.840.10008.5.1.4.1.1.4"
    assert await target.put(Made(), instance=new_uid()) == 0xA900
    assert await target.put(Made(sop_class=mr), context=CT, sop_class=CT) == 0xA900
    assert await target.put(Made(), sop_class=mr) == 0xA900
    for missing in (0x00080016, 0x00080018, 0x0020000D, 0x0020000E):
        assert await target.put(Made(without=[missing])) == 0xA900
    twice = Made()
    twice.data = Made(instance=twice.instance, study=twice.study).data + twice.data
    assert await target.put(twice) in (0xA900, 0xC000)


# ---- row 12


def bomb(mebibytes: int) -> Made:
    """Deflated: a header, and pixel data of so many MiB of zeros."""
    made = Made()
    opening = zlib.compressobj(9, zlib.DEFLATED, -15)
    pixels = element(0x7FE00010, b"OW", b"", length=mebibytes << 20)
    start = opening.compress(made.data + pixels) + opening.flush(zlib.Z_FULL_FLUSH)
    middle = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = middle.compress(bytes(1 << 20)) + middle.flush(zlib.Z_FULL_FLUSH)
    # The last block is empty.
    made.data = start + zeros * mebibytes + b"\3\0"
    return made


async def test_row_12_a_deflate_bomb_is_refused_and_costs_no_memory(target: Target, tmp_path: Path) -> None:
    before = target.rss()
    assert await target.put(bomb(1200), DEFLATED) == 0xC000
    # Within the limit it is an object like any other.
    small = bomb(100)
    assert await target.put(small, DEFLATED) == 0x0000
    await expect_kept(target, small, tmp_path, DEFLATED)
    garbage = Made()
    garbage.data = b"\xff" * 1000
    assert await target.put(garbage, DEFLATED) == 0xC000
    await until(lambda: target.rss() < before + NEARLY)


# ---- row 13

_LENGTHS = {
    "an element longer than what is left": (element(0x00200010, b"SH", b"x", length=5000), {0xC000}),
    "undefined length where there is none": (element(0x00200011, b"UN", b"", UNDEFINED), {0xC000}),
    "undefined length of a text": (element(0x00204000, b"UT", b"", UNDEFINED), {0xC000}),
    "3 GB declared": (element(0x7FE00010, b"OW", bytes(100), length=3_000_000_000), {0xC000}),
    "a negative length": (element(0x7FE00010, b"OB", bytes(100), length=0xFFFFFFFE), {0xC000}),
    "an item beyond its sequence": (
        element(0x0040A730, b"SQ", implicit(ITEM, bytes(8), length=5000)),
        {0xC000},
    ),
    "an odd length": (element(0x00204000, b"LT", b"odd"), {0x0000, 0xC000}),
    "a tail of three bytes": (b"\1\2\3", {0xC000}),
}


@pytest.mark.parametrize("name", _LENGTHS, ids=lambda name: f"row 13: {name}")
async def test_a_length_that_lies_is_not_believed(target: Target, name: str) -> None:
    before = target.rss()
    ending, statuses = _LENGTHS[name]
    bad = Made()
    bad.data += ending
    assert await target.put(bad) in statuses
    assert target.rss() < before + NEARLY


async def test_row_7_an_object_beyond_the_limit_is_a700_and_one_without_end_is_aborted(target: Target) -> None:
    before = target.rss()
    big = Made((0x7FE00010, element(0x7FE00010, b"OW", bytes(MAX_OBJECT))))
    assert await target.put(big) == 0xA700
    async with Raw(target) as raw:
        await raw.send(rq_bytes())
        await raw.pdu()
        more = pdata(pdv(1, 0, bytes(120_000)))
        await raw.send(pdata(pdv(1, 3, store_command())), *[more] * 700)
        assert (await raw.rest())[:1] in (b"\7", b"")
    await until(lambda: target.rss() < before + NEARLY)


# ---- row 14


@pytest.mark.parametrize("defined", [False, True], ids=["undefined lengths", "defined lengths"])
async def test_row_14_sequences_are_followed_only_so_deep(target: Target, tmp_path: Path, defined: bool) -> None:
    for depth in (50, 64):
        deep = Made((0x0040A730, nested(depth, defined=defined)))
        assert await target.put(deep) == 0x0000
        await expect_kept(target, deep, tmp_path / str(depth))
        # In another transfer syntax, every level is written anew.
        final, brought = await get_as(target, tmp_path / f"{depth}i", deep, IMPLICIT)
        assert (final.status, list(brought)) == (0x0000, [deep.instance])
    for depth in (100, 500, 5000):
        assert await target.put(Made((0x0040A730, nested(depth, defined=defined)))) in (0xC000, 0xA900)


@pytest.mark.parametrize(("items", "status"), [(100_000, 0x0000), (1_000_000, 0xC000)])
async def test_row_14_empty_items_are_counted(target: Target, tmp_path: Path, items: int, status: int) -> None:
    before = target.rss()
    value = implicit(ITEM, b"") * items + implicit(SEQUENCE_END, b"")
    crowd = Made((0x0040A730, element(0x0040A730, b"SQ", value, UNDEFINED)))
    assert await target.put(crowd) == status
    if status == 0x0000:
        await expect_kept(target, crowd, tmp_path)
    await until(lambda: target.rss() < before + NEARLY)


_PIXELS = {
    "10,000 fragments": fragments(*[b"\0\1"] * 10_000),
    "30,000 fragments": fragments(*[b"\0\1"] * 30_000),
    "a basic offset table of garbage": fragments(bytes(10), bytes(20), table=b"\xff" * 400),
    "an extended offset table of garbage": element(0x7FE00001, b"OV", b"\xff" * 80)
    + element(0x7FE00002, b"OV", b"\xff" * 8)
    + fragments(bytes(10)),
    "no fragment at all": fragments(),
}


@pytest.mark.parametrize("name", _PIXELS, ids=lambda name: f"row 14: {name}")
async def test_fragments_come_back_as_they_were(target: Target, tmp_path: Path, name: str) -> None:
    odd = Made((0x7FE00010, _PIXELS[name]))
    assert await target.put(odd, JPEG_2000) == 0x0000
    await expect_kept(target, odd, tmp_path, JPEG_2000)


async def test_row_14_fragments_that_do_not_end_are_refused(target: Target) -> None:
    for pixels in (fragments(bytes(10), end=False), element(0x7FE00010, b"OB", bytes(64), UNDEFINED)):
        assert await target.put(Made((0x7FE00010, pixels)), JPEG_2000) == 0xC000


# ---- rows 15, 16, 19, 20: stored, found, given back


_TEXT = {
    "row 15: an unknown VR": (0x00280010, b"\x28\0\x10\0ZZ\0\0\2\0\0\0\0\2"),
    "row 15: Rows as UL": (0x00280010, element(0x00280010, b"UL", b"\0\2\0\0")),
    "row 16: BitsAllocated 0": (0x00280100, element(0x00280100, b"US", b"\0\0")),
    "row 16: NumberOfFrames -1": (0x00280008, element(0x00280008, b"IS", b"-1")),
    "row 16: NumberOfFrames 1e9": (0x00280008, element(0x00280008, b"IS", b"1000000000")),
    "row 16: hardly any pixels": (0x7FE00010, element(0x7FE00010, b"OW", b"\0\0")),
    "row 19: a character set that is none": (0x00080005, element(0x00080005, b"CS", b"ISO_IR 999")),
    "row 19: an escape sequence cut off": (0x00100010, element(0x00100010, b"PN", b"Doe^\x1b$")),
    "row 19: invalid UTF-8": (0x00100010, element(0x00100010, b"PN", b"\xff\xfe\x80^\xc3(")),
    "row 19: NULs": (0x00100010, element(0x00100010, b"PN", b"Do\0e^\0\0")),
    "row 19: right to left override": (0x00100010, element(0x00100010, b"PN", even("Doe\u202eenaJ".encode()))),
    "row 19: 1000 backslashes": (0x00100010, element(0x00100010, b"PN", b"\\" * 1000)),
    "row 19: markup": (0x00100010, element(0x00100010, b"PN", even(b"<script>alert(1)</script>{{7*7}}$(id)"))),
    "row 19: SQL": (0x00100010, element(0x00100010, b"PN", even(b"'; DROP TABLE study; --"))),
    "row 20: a name of 64 KiB": (0x00100010, element(0x00100010, b"PN", b"N" * 65534)),
    "row 20: an id of 64 KiB": (0x00100020, element(0x00100020, b"LO", b"I" * 65534)),
    "row 20: a code of 64 KiB": (0x00080060, element(0x00080060, b"CS", b"C" * 65534)),
    "row 20: a text of 1 MiB": (0x00081030, element(0x00081030, b"UN", b"T" * (1 << 20))),
    "row 20: an old date": (0x00080020, element(0x00080020, b"DA", b"1994.11.05")),
    "row 20: a date that is none": (0x00080020, element(0x00080020, b"DA", b"99999999")),
    "row 20: a time that is none": (0x00080030, element(0x00080030, b"TM", b"late")),
    "row 20: a number too large": (0x00101030, element(0x00101030, b"DS", even(b"1e400"))),
    "row 20: a number that is none": (0x00101030, element(0x00101030, b"DS", even(b"NaN"))),
    "row 20: an instance number that is none": (0x00200013, element(0x00200013, b"IS", b"12345678901234567890")),
}


@pytest.mark.parametrize("name", _TEXT)
async def test_values_that_no_standard_allows_are_kept_and_found_by_uid(
    target: Target, tmp_path: Path, name: str
) -> None:
    odd = Made(_TEXT[name])
    assert await target.put(odd) == 0x0000
    await expect_kept(target, odd, tmp_path)
    # With every key that can be asked for in the answer, at every level.
    study, series = f"StudyInstanceUID={odd.study}", f"SeriesInstanceUID={odd.series}"
    names = ("PatientName", "PatientID", "StudyDate", "StudyTime", "StudyDescription", "PatientWeight")
    assert len(await find_matches(target.peer, "STUDY", study, *names, "ModalitiesInStudy")) == 1
    assert len(await find_matches(target.peer, "SERIES", study, "Modality")) == 1
    assert len(await find_matches(target.peer, "IMAGE", study, series, "InstanceNumber", "Rows", "NumberOfFrames")) == 1


@pytest.mark.parametrize(
    ("stored", "query"),
    [
        ("<script>alert(1)</script>{{7*7}}$(id)", "<script>*"),
        ("'; DROP TABLE study; --", "'; DROP TABLE*"),
        ("a.*[b]^c%d_e", "a.[*][b]^c%d_e"),
        ("100%_sure^x", "100%_sure*"),
        ("M\u00fcller^J\u00f6rg", "muller^jorg"),
    ],
    ids=lambda text: f"row 19: {text!r}",
)
async def test_a_name_with_what_other_languages_read_is_found_by_it(target: Target, stored: str, query: str) -> None:
    name = element(0x00100010, b"PN", even(stored.encode()))
    odd = Made((0x00080005, element(0x00080005, b"CS", b"ISO_IR 192")), (0x00100010, name))
    assert await target.put(odd) == 0x0000
    assert await target.is_found(odd)
    literal = stored.replace("*", "?") if "[*]" in query else query
    matches = await find_matches(target.peer, "STUDY", f"PatientName={literal}", f"StudyInstanceUID={odd.study}")
    assert len(matches) == 1
    assert str(matches[0].PatientName) == stored


async def test_row_15_what_is_in_another_encoding_than_it_says_is_refused(target: Target) -> None:
    explicit = Made()
    assert await target.put(explicit, IMPLICIT) in (0xC000, 0xA900)
    assert await target.put(explicit, BIG_ENDIAN) in (0xC000, 0xA900)
    hidden = Made()
    hidden.data = b"".join(
        implicit(tag, even(value, b"\0"))
        for tag, value in ((0x00080016, CT), (0x00080018, hidden.instance), (0x0020000D, hidden.study))
    )
    assert await target.put(hidden) in (0xC000, 0xA900)


async def test_row_15_big_endian_is_kept(target: Target, tmp_path: Path) -> None:
    big = Made()
    pairs = ((0x00080016, CT), (0x00080018, big.instance), (0x0020000D, big.study), (0x0020000E, big.series))
    big.data = b"".join(
        struct.pack(">HH2sH", tag >> 16, tag & 0xFFFF, b"UI", len(even(uid, b"\0"))) + even(uid, b"\0")
        for tag, uid in pairs
    )
    assert await target.put(big, BIG_ENDIAN) == 0x0000
    await expect_kept(target, big, tmp_path, BIG_ENDIAN)


# ---- rows 16, 17: what must be decoded to be sent


@pytest.mark.parametrize("syntax", [JPEG, JPEG_LS, JPEG_2000, RLE])
@pytest.mark.parametrize("hostile", [b"\xff\xd8\xff\xc0\0\x11\x10\xff\xff\xff\xff\3" + bytes(200), b"\xff" * 500, b""])
async def test_row_17_a_codestream_that_cannot_be_decoded_is_a_failed_suboperation(
    target: Target, tmp_path: Path, syntax: str, hostile: bytes
) -> None:
    def us(tag: int, value: int) -> tuple[int, bytes]:
        return tag, element(tag, b"US", struct.pack("<H", value))

    pixels = fragments(hostile + b"\0" * (len(hostile) & 1))
    shape = [us(0x00280002, 1), us(0x00280010, 65535), us(0x00280011, 65535), us(0x00280100, 16), us(0x00280101, 16)]
    more = [us(0x00280102, 15), us(0x00280103, 0), (0x00280004, element(0x00280004, b"CS", b"MONOCHROME2 "))]
    bad = Made(*shape, *more, (0x00280008, element(0x00280008, b"IS", b"2000")), (0x7FE00010, pixels))
    assert await target.put(bad, syntax) == 0x0000
    assert await target.is_found(bad)
    final, brought = await get_as(target, tmp_path, bad, EXPLICIT)
    assert (final.status, brought) == (0xA702, {})
    assert final.number(Element.FAILED_SUB_OPERATIONS) == 1


# ---- row 18


async def test_row_18_what_is_stored_has_a_preamble_of_zeros(target: Target, tmp_path: Path) -> None:
    made = Made()
    assert await target.put(made) == 0x0000
    await expect_kept(target, made, tmp_path)
    files = [path for path in (target.folder / "data" / "objects" / "objects").rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert path.read_bytes()[:132] == bytes(128) + b"DICM"
    (file,) = [look(path) for path in files if made.instance.encode() in path.read_bytes()]
    assert isinstance(file, DicomFile)
    assert (file.sop_instance_uid, file.sop_class_uid) == (made.instance, CT)
