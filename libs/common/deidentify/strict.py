"""Items of sequences that are kept after cleaning: texts in them that the table does not have are cleaned, too
(PS3.15 E.3.3 to E.3.5). Pure.
"""

from __future__ import annotations

import re

from gantry.common.deidentify.values import DUMMY_TEXT, dummy
from gantry.common.deidentify.vocabulary import cleaned_text
from gantry.common.dicom.encoding.charsets import CharacterSet
from gantry.common.dicom.encoding.elements import elements
from gantry.common.dicom.standard.tags import CODE_VALUE, CODING_SCHEME_DESIGNATOR
from gantry.common.dicom.standard.transfer_syntaxes import Encoding

# PS3.16 8: vocabularies that are published; a code of them names a concept and no person.
STANDARD_SCHEMES = frozenset(
    (
        *("DCM", "SCT", "SRT", "SNM3", "99SDM", "LN", "RADLEX", "UCUM", "FMA", "BI", "MDC", "NCIt", "UMLS", "NEU"),
        *("ITIS_TSN", "ACR", "I10", "I10P", "I9", "I9C", "C4", "C5", "ICDO3", "RXNORM", "NDC", "UNS", "PUBCHEM_CID"),
    )
)
_TEXT = frozenset((b"LO", b"SH", b"ST", b"LT", b"UT", b"UC"))
_ODD = {
    b"AS": re.compile(rb"[^0-9DWMY\\ \0]"),
    b"DS": re.compile(rb"[^0-9+\-.,eE\\ \0]"),
    b"IS": re.compile(rb"[^0-9+\-.,eE\\ \0]"),
    b"UI": re.compile(rb"[^0-9.\\ \0]"),
}
# PS3.5 6.2: sixteen capital letters, digits, spaces and underscores at most.
_CODE_WORD = re.compile(rb"[A-Z0-9_ ]{0,16}[ \0]*")
_NUMBER = re.compile(rb"[0-9+\-.eE\\ ]*\0?")


def has_standard_code(data: bytes, encoding: Encoding) -> bool:
    """Whether an item is a code of a published vocabulary: its value, scheme and meaning may stay as they are."""
    values = {
        tag: data[start:end].strip(b" \0")
        for tag, _, start, end in elements(data, encoding, wanted=(CODE_VALUE, CODING_SCHEME_DESIGNATOR))
    }
    scheme = values.get(CODING_SCHEME_DESIGNATOR, b"").decode("ascii", "replace")
    return bool(values.get(CODE_VALUE)) and scheme in STANDARD_SCHEMES


def without_odd(vr: bytes, value: bytes) -> bytes:
    """What is left where a number, an age, a code word or a UID holds what none of them can: a sender wrote something
    else there, a name perhaps. Commas in numbers are what many senders write. Of several code words those that are
    none are emptied, so that the others keep their places (Image Type)."""
    if vr == b"CS":
        words = [word if _CODE_WORD.fullmatch(word) else b"" for word in value.split(b"\\")]
        left = b"\\".join(words)
        return left if left == value or any(words) else b""
    odd = _ODD.get(vr)
    return b"" if odd is not None and odd.search(value) else value


def strict_value(vr: bytes, value: bytes, text: CharacterSet, names: frozenset[str]) -> str | None:
    """What is left of a value; None where it stays as it is. A text of which no word is known becomes a dummy value."""
    stripped = value.strip(b" \0")
    if not stripped:
        return None
    if vr in _TEXT:
        return cleaned_text(text.decode(stripped), names, vr) or DUMMY_TEXT
    if vr == b"UR" or (vr in (b"DS", b"IS") and not _NUMBER.fullmatch(value)):
        return str(dummy(vr))
    return None
