"""The schema of PS3.15 A.5.1.1 for AuditMessage, as a table: for each element its attributes, and its children in
order. Written from the RELAX NG of the standard; `require_valid` itself is tested with invalid messages."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree

TOKEN = r"(?!\s)[^\t\n\r]*(?<!\s)|"
_TEXT = r"(?s).*"
_BOOLEAN = "true|false|0|1"
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?"
_INTEGER = r"[+-]?\d+"
_BASE64 = "base64"


@dataclass(frozen=True)
class Pattern:
    """`required` and `optional` attributes with patterns for their values; `children` is a pattern for the names of the
    children, each with a space behind it; `text` is a pattern for the text, None if there must be none."""

    required: Mapping[str, str] = field(default_factory=dict)
    optional: Mapping[str, str] = field(default_factory=dict)
    children: str = ""
    text: str | None = None


_OTHER = {"codeSystemName": TOKEN, "originalText": TOKEN}
_CODED = Pattern({"csd-code": TOKEN, **_OTHER}, {"displayName": TOKEN})
SCHEMA: Mapping[str, Pattern] = {
    "AuditMessage": Pattern(
        children="EventIdentification (ActiveParticipant )+AuditSourceIdentification "
        "(ParticipantObjectIdentification )*"
    ),
    "EventIdentification": Pattern(
        {"EventDateTime": _TIME, "EventOutcomeIndicator": "0|4|8|12"},
        {"EventActionCode": "[CRUDE]"},
        "EventID (EventTypeCode )*(EventOutcomeDescription )?",
    ),
    "EventID": _CODED,
    "EventTypeCode": _CODED,
    "EventOutcomeDescription": Pattern(text=_TEXT),
    "ActiveParticipant": Pattern(
        {"UserID": _TEXT, "UserIsRequestor": _BOOLEAN},
        {
            "AlternativeUserID": _TEXT,
            "UserName": _TEXT,
            "NetworkAccessPointID": TOKEN,
            "NetworkAccessPointTypeCode": "[1-5]",
        },
        "(RoleIDCode )*(MediaIdentifier )?",
    ),
    "RoleIDCode": _CODED,
    "MediaIdentifier": Pattern(children="MediaType "),
    "MediaType": _CODED,
    "AuditSourceIdentification": Pattern(
        {"AuditSourceID": TOKEN}, {"AuditEnterpriseSiteID": TOKEN}, "(AuditSourceTypeCode )*"
    ),
    # A single digit needs no code system; any other code must name its system.
    "AuditSourceTypeCode": Pattern({"csd-code": "[1-9]"}),
    "ParticipantObjectIdentification": Pattern(
        {"ParticipantObjectID": TOKEN},
        {
            "ParticipantObjectTypeCode": "[1-4]",
            "ParticipantObjectTypeCodeRole": "[1-9]|1[0-9]|2[0-6]",
            "ParticipantObjectDataLifeCycle": "[1-9]|1[0-5]",
            "ParticipantObjectSensitivity": TOKEN,
        },
        "ParticipantObjectIDTypeCode (ParticipantObjectName |ParticipantObjectQuery )(ParticipantObjectDetail )*"
        "(ParticipantObjectDescription )*",
    ),
    "ParticipantObjectIDTypeCode": _CODED,
    "ParticipantObjectName": Pattern(text=TOKEN),
    "ParticipantObjectQuery": Pattern(text=_BASE64),
    "ParticipantObjectDetail": Pattern({"type": TOKEN, "value": _BASE64}),
    "ParticipantObjectDescription": Pattern(
        children="(MPPS )*(Accession )*(SOPClass )*(ParticipantObjectContainsStudy )?(Encrypted )?(Anonymized )?"
    ),
    "MPPS": Pattern({"UID": TOKEN}),
    "Accession": Pattern({"Number": TOKEN}),
    "SOPClass": Pattern({"NumberOfInstances": _INTEGER}, {"UID": TOKEN}, "(Instance )*"),
    "Instance": Pattern({"UID": TOKEN}),
    "ParticipantObjectContainsStudy": Pattern(children="(StudyIDs )*"),
    "StudyIDs": Pattern({"UID": TOKEN}),
    "Encrypted": Pattern(text=_BOOLEAN),
    "Anonymized": Pattern(text=_BOOLEAN),
}


def require_valid(message: bytes) -> ElementTree.Element:
    """The message; raises `AssertionError` if it does not conform to the schema."""
    root = ElementTree.fromstring(message)
    assert root.tag == "AuditMessage", root.tag
    _require(root)
    return root


def _require(element: ElementTree.Element) -> None:
    pattern = SCHEMA.get(element.tag)
    assert pattern is not None, f"{element.tag}: no such element"
    missing = set(pattern.required) - set(element.attrib)
    assert not missing, f"{element.tag}: without {missing}"
    for name, value in element.attrib.items():
        known = {**pattern.optional, **pattern.required}
        assert name in known, f"{element.tag}: no attribute {name}"
        assert _fits(known[name], value), f"{element.tag} {name}: {value!r}"
    names = "".join(f"{child.tag} " for child in element)
    assert re.fullmatch(pattern.children, names), f"{element.tag}: {names}"
    text = element.text or ""
    assert not text if pattern.text is None else _fits(pattern.text, text), f"{element.tag}: {text!r}"
    for child in element:
        assert not child.tail, f"{child.tag}: text behind it"
        _require(child)


def _fits(pattern: str, value: str) -> bool:
    if pattern != _BASE64:
        return re.fullmatch(pattern, value) is not None
    try:
        base64.b64decode(value, validate=True)
    except ValueError:
        return False
    return True
