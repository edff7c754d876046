"""Character sets, with the examples of PS3.5 Annexes H to K and pydicom as the oracle."""

from __future__ import annotations

import warnings

import pydicom.charset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.encoding.charsets import DEFAULT, character_set, holding

EXAMPLES = [
    # PS3.5 H.3.1, H.3.2, I.2, J.1, J.3, K.2
    (
        ["", "ISO 2022 IR 87"],
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    (
        ["ISO 2022 IR 13", "ISO 2022 IR 87"],
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ),
    (
        ["", "ISO 2022 IR 149"],
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    (
        ["ISO_IR 192"],
        b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1=",
        "Wang^XiaoDong=王^小東=",
    ),
    (["GB18030"], b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东="),
    (
        ["", "ISO 2022 IR 58"],
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
        "Zhang^XiaoDong=张^小东=",
    ),
    (["ISO_IR 100"], b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
    (["ISO_IR 144"], b"\xbb\xee\xda\x63\x65\xdc\xd1\xe3\xe0\xd3", "Лю\u043aceмбург".replace("\u043a", "к")),
    (["ISO_IR 126"], b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος"),
    (["ISO_IR 127"], b"\xe2\xc8\xc7\xe6\xea", "قباني"),
    (["ISO_IR 138"], b"\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4", "שרון^דבורה"),
]


@pytest.mark.parametrize(
    ("terms", "value", "text"), [e for e in EXAMPLES if e[0] not in (["ISO_IR 127"], ["ISO_IR 144"])]
)
def test_the_standards_examples_are_decoded(terms: list[str], value: bytes, text: str) -> None:
    assert character_set(terms).decode(value) == text


# pydicom leaves the escape of ISO 2022 IR 58 in the text.
WITH_ORACLE = [e for e in EXAMPLES if "ISO 2022 IR 58" not in e[0]]


def by_pydicom(value: bytes, terms: list[str]) -> str:
    encodings = pydicom.charset.convert_encodings(list(terms))
    return str(pydicom.valuerep.PersonName(value, encodings).decode(encodings))


@pytest.mark.parametrize(("terms", "value", "text"), WITH_ORACLE)
def test_decoding_agrees_with_pydicom(terms: list[str], value: bytes, text: str) -> None:
    assert character_set(terms).decode(value).rstrip("=") == by_pydicom(value, terms)


@pytest.mark.parametrize(("terms", "value", "text"), EXAMPLES)
def test_what_is_encoded_is_decoded_again(terms: list[str], value: bytes, text: str) -> None:
    encoded = character_set(terms).encode(text)
    if encoded is None:  # several sets in one value are not written, UTF-8 is then
        assert terms == ["ISO 2022 IR 13", "ISO 2022 IR 87"]
        return
    assert character_set(terms).decode(encoded) == text
    if "ISO 2022 IR 58" not in terms:
        assert by_pydicom(encoded, terms) == text.rstrip("=")


@pytest.mark.parametrize("name", ["ISO-IR 100", "ISO_IR_100", "iso ir 100", " ISO_IR 100 ", "ISO 2022 IR 100"])
def test_terms_are_understood_as_they_come(name: str) -> None:
    assert character_set([name]).decode(b"J\xe9r\xf4me") == "Jérôme"


def test_text_outside_the_named_set_is_guessed() -> None:
    assert DEFAULT.decode("Jérôme".encode()) == "Jérôme"
    assert DEFAULT.decode(b"J\xe9r\xf4me") == "Jérôme"
    assert character_set(["NO_SUCH SET"]).decode("Jérôme".encode()) == "Jérôme"
    assert character_set(["ISO_IR 192"]).decode(b"J\xe9r\xf4me") == "J\ufffdr\ufffdme"


_TERMS = st.sampled_from(
    ["", "ISO_IR 6", "ISO_IR 192", "GB18030", "GBK", "junk", "\0", "ISO 2022 IR 999"]
    + [f"ISO_IR {n}" for n in (13, 100, 101, 109, 110, 126, 127, 138, 144, 148, 166, 203)]
    + [f"ISO 2022 IR {n}" for n in (6, 13, 58, 87, 100, 101, 144, 149, 159)]
)
_BYTES = st.lists(
    st.one_of(
        st.binary(max_size=6), st.sampled_from([b"\x1b", b"\x1b$B", b"\x1b$)C", b"\x1b(B", b"\x1b-A", b"^", b"\\"])
    )
).map(b"".join)


@given(st.lists(_TERMS, max_size=4), _BYTES)
def test_decoding_never_raises(terms: list[str], value: bytes) -> None:
    character_set(terms).decode(value).encode("utf-8")


@given(st.lists(_TERMS, max_size=3), st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12))
def test_an_answer_is_in_a_set_that_holds_it(terms: list[str], text: str) -> None:
    chosen = holding([text], character_set(terms))
    encoded = chosen.encode(text)
    assert encoded is not None
    assert chosen.decode(encoded) == text
    if text.isascii():
        assert chosen.terms == ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert chosen.terms in ((), tuple(terms), ("ISO_IR 192",))
