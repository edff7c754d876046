"""Data types of HL7 v2 as values of DICOM: names, times, codes, identifiers (PS3.5 6.2, HL7 v2.5 2A). Pure.

What a field holds that DICOM has no place for is left out; what cannot be said in DICOM at all is `None`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.vrs import vr_of
from gantry.common.hl7.message import Field

Element = dict[str, Any]
"""One attribute of the DICOM JSON model (PS3.18 F.2.2)."""

# HL7 v2.5 2A.89 (TS): YYYY[MM[DD[HH[MM[SS[.S]]]]]][+/-ZZZZ].
_TIME = re.compile(r"(\d{8})(?:(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?))?(?:[+-]\d{4})?")
# HL7 v2.5 2A.88 (XPN) components 1 to 6, in the order of PS3.5 6.2.1.1: family, given, middle, prefix, suffix.
_PN_FORBIDDEN = re.compile(r"[\^=\\\n]")
_REPRESENTATIONS = {"I": "Ideographic", "P": "Phonetic"}
# HL7 table 0001; DICOM knows three values (PS3.3 C.2.3).
_SEXES = {"M": "M", "F": "F", "O": "O", "A": "O", "N": "O", "C": "O", "X": "O"}
_NOT_SAID = ("", "U")
# HL7 tables 0485 and 0027, and what OBR-27.6 has; IHE RAD TF-2 4.4.4.1.2.2.
_PRIORITIES = {"S": "STAT", "A": "HIGH", "P": "HIGH", "C": "HIGH", "T": "MEDIUM", "R": "ROUTINE"}
_LONGEST_TEXT = 64


def element(keyword: str, *values: Any) -> Element:
    """An attribute with these values; empty ones are left out."""
    attribute: Element = {"vr": vr_of(TAGS[keyword]).decode("ascii")}
    wanted = [value for value in values if value not in ("", None)]
    return {**attribute, "Value": wanted} if wanted else attribute


def item(**attributes: Any) -> Element:
    """An item of a sequence, of attributes by keyword that have a value; {} where none has."""
    made = {f"{TAGS[keyword]:08X}": element(keyword, value) for keyword, value in attributes.items()}
    return {name: attribute for name, attribute in made.items() if "Value" in attribute}


def short(text: str) -> str:
    """A description that fits LO (PS3.5 6.2): cut where it is too long, on one line."""
    return " ".join(text.replace("\\", "/").split())[:_LONGEST_TEXT].strip()


def date_and_time(text: str) -> tuple[str, str] | None:
    """DA and TM; "" for a time that is not said. The offset from UTC is left out: times of orders are local ones."""
    match = _TIME.fullmatch(text)
    return (match[1], match[2] or "") if match else None


def person_name(repetitions: Sequence[Field]) -> Element | None:
    """A name of XPN repetitions as PN: the legal name (XPN-7 L), else the first, and its ideographic and phonetic
    representations (XPN-8 I, P). None where a part holds what no PN can."""
    groups: dict[str, str] = {}
    legal = [repetition for repetition in repetitions if repetition.text(7) in ("L", "")] or list(repetitions)
    for legal_name in legal:
        group = _REPRESENTATIONS.get(legal_name.text(8), "Alphabetic")
        name = _components([legal_name.text(n) for n in range(1, 7)])
        if name is None:
            return None
        if name:
            groups.setdefault(group, name)
    return groups


def provider_name(field: Field) -> Element | None:
    """A name of XCN (HL7 v2.5 2A.86): an ID, then as XPN."""
    name = _components([field.text(n) for n in range(2, 8)])
    return None if name is None else {"Alphabetic": name} if name else {}


def performer_name(field: Field) -> Element | None:
    """A name of NDL (HL7 v2.5 2A.47), whose first component is one of CNN: ID & family & given & middle."""
    name = _components([field.text(1, n) for n in range(2, 8)])
    return None if name is None else {"Alphabetic": name} if name else {}


def _components(parts: Sequence[str]) -> str | None:
    family, given_name, middle, suffix, prefix, degree = (part if part != '""' else "" for part in parts)
    if any(map(_PN_FORBIDDEN.search, (family, given_name, middle, suffix, prefix, degree))):
        return None
    name = "^".join((family, given_name, middle, prefix, " ".join(filter(None, (suffix, degree)))))
    return name.rstrip("^")


def sex(text: str) -> str | None:
    """Patient's Sex; "" where it is not known, None for what table 0001 does not have."""
    return "" if text.upper() in _NOT_SAID else _SEXES.get(text.upper())


def priority(text: str) -> str:
    """Requested Procedure Priority; "" for what no table has."""
    return _PRIORITIES.get(text.upper(), "")


def code_item(field: Field, first: int = 1) -> Element:
    """A coded entry (CE, CWE) as an item of a code sequence (PS3.3 8.8); {} where it has no code, meaning or scheme
    that fits."""
    value, meaning, scheme = (field.text(first + n) for n in range(3))
    if not value or len(value) > 16 or len(scheme) > 16:
        return {}
    return item(CodeValue=value, CodingSchemeDesignator=scheme or "99HL7", CodeMeaning=short(meaning) or value)


def entity_issuer(namespace: str, universal: str, kind: str) -> Element:
    """The authority of an entity identifier (EI) as an item of an HL7v2 Hierarchic Designator (PS3.3 10.14)."""
    if universal and not kind:
        universal = ""
    kind = kind if universal else ""
    return item(LocalNamespaceEntityID=namespace, UniversalEntityID=universal, UniversalEntityIDType=kind)


def authority_of(field: Field) -> str:
    """The assigning authority of a CX (HL7 v2.5 2A.14, component 4): its namespace, else its universal ID."""
    return field.text(4, 1) or field.text(4, 2)
