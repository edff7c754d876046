"""MSH-18 as a codec."""

from __future__ import annotations

import pytest

from gantry.common.hl7.charsets import charset_names, codec_of, decoded
from gantry.common.hl7.problems import MessageRefused


def header(charset: str, name: bytes = b"") -> bytes:
    return b"MSH|^~\\&|A|B|||20261127||ADT^A08|1|P|2.5||||||" + charset.encode() + b"\rPID|||1||" + name + b"\r"


@pytest.mark.parametrize(
    ("charset", "codec", "name"),
    [
        ("8859/1", "iso8859-1", "MÜLLER"),
        ("8859/15", "iso8859-15", "ŒUVRE"),
        ("8859/5", "iso8859-5", "Люкceмбypг"),
        ("UNICODE UTF-8", "utf-8", "山田=やまだ"),
        ("UNICODE", "utf-8", "Ærø"),
        ("GB 18030-2000", "gb18030", "王^小东"),
        ("BIG-5", "big5hkscs", "許功蓋"),
        ("KS X 1001", "euc_kr", "김희중"),
        ("ASCII", "ascii", "SMITH"),
        ("ASCII~ISO IR87", "iso2022_jp_ext", "山田^太郎"),
        ("~ISO IR87~ISO IR159", "iso2022_jp_ext", "山田"),
    ],
)
def test_names_are_read_in_the_character_set_of_the_message(charset: str, codec: str, name: str) -> None:
    assert decoded(header(charset, name.encode(codec))).endswith(f"||{name}\r")


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_what_stands_in_other_segments_is_not_msh_18(end: bytes) -> None:
    short = b"MSH|^~\\&|A|B|||20261127||ADT^A08|1|P|2.5" + end + b"PID|||1||A|KLINGON|KLINGON|" + end
    assert charset_names(short) == []
    assert decoded(short).startswith("MSH")


def test_without_msh_18_the_default_of_the_sender_counts() -> None:
    message = header("", "MÜLLER".encode("latin-1"))
    assert "MÜLLER" in decoded(message, "8859/1")
    with pytest.raises(MessageRefused, match="MSH-18 is empty"):
        decoded(message)


@pytest.mark.parametrize(
    ("charset", "words"),
    [
        ("UNICODE UTF-16", "cannot be framed"),
        ("KLINGON", "not supported"),
        ("8859/1~8859/5", "combination"),
        ("8859/1~ISO IR87", "combination"),
        ("CNS 11643-1992", "not supported"),
    ],
)
def test_what_is_not_supported_is_refused_in_words(charset: str, words: str) -> None:
    with pytest.raises(MessageRefused, match=words) as refused:
        decoded(header(charset))
    assert str(refused.value.problems[0].spot) == "MSH-18"
    assert not refused.value.rejected


def test_bytes_of_another_character_set_are_refused_and_not_repeated() -> None:
    with pytest.raises(MessageRefused, match="not of the character set that MSH-18 names") as refused:
        decoded(header("UNICODE UTF-8", b"M\xfcLLER"))
    assert "LLER" not in str(refused.value)


@pytest.mark.parametrize("message", [b"", b"MSH|", b"MSH|^~\\&|A", b"\xff" * 5000])
def test_a_header_without_msh_18_names_none(message: bytes) -> None:
    assert charset_names(message) == []
    assert codec_of(["iso-ir6"]) == "ascii"
