"""Invoke Image Display (IHE RAD-106): the request of another system becomes an address of the page. Pure.

    /IHEInvokeImageDisplay?requestType=PATIENT&patientID=4711^^^HOSPITAL
    /IHEInvokeImageDisplay?requestType=STUDY&accessionNumber=A20240131

The page then shows what the user may see, as with any other of its addresses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlencode

from gantry.common.errors import NotUnderstood
from gantry.common.ids import is_uid
from gantry.common.web.routes import INVOKED

PATH = INVOKED.strip("/")
_MOST = 32
_LONGEST = 64
# A quotation mark would end the term, the others are wildcards or part values (PS3.4 C.2.2.2.4, PS3.5 6.2).
_NOT_IN_TERMS = frozenset('"*?\\')
_DAY = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:[T ].*)?", re.ASCII)
_MODALITY = re.compile(r"[A-Z0-9_ ]{1,16}", re.ASCII)


def address_of(query: Mapping[str, str]) -> str:
    """The address. Raises `NotUnderstood`, in words for the author of the link."""
    kind = query.get("requestType", "")
    if kind == "STUDY":
        return _of_studies(query)
    if kind == "PATIENT":
        return _of_a_patient(query)
    raise NotUnderstood("requestType: PATIENT or STUDY")


def _of_studies(query: Mapping[str, str]) -> str:
    uids = _values_of(query, "studyUID")
    if uids:
        if not all(map(is_uid, uids)):
            raise NotUnderstood("studyUID: Study Instance UIDs, with commas between")
        return _page_url({"study": uids[0]} if len(uids) == 1 else {"q": " ".join(uids)})
    numbers = [_term("accessionNumber", number) for number in _values_of(query, "accessionNumber")]
    if not numbers:
        raise NotUnderstood("studyUID or accessionNumber is needed with requestType=STUDY")
    terms = [f'acc:"{number}"' for number in numbers]
    return _page_url({"q": " ".join(terms), **({"open": "only"} if len(terms) == 1 else {})})


def _of_a_patient(query: Mapping[str, str]) -> str:
    identity = query.get("patientID", "")
    # HL7 v2 CX: the ID, and the assigning authority in the fourth component, whose first part is its namespace.
    parts = identity.split("^")
    if not parts[0].strip():
        raise NotUnderstood("patientID is needed with requestType=PATIENT")
    terms = [f'id:"{_term("patientID", parts[0])}"']
    issuer = parts[3].split("&")[0] if len(parts) > 3 else ""
    if issuer:
        terms.append(f'issuer:"{_term("patientID", issuer)}"')
    for name, word in (("patientBirthDate", "born"), ("lowerDateTime", "since"), ("upperDateTime", "until")):
        if query.get(name):
            terms.append(f"{word}:{_day(name, query[name])}")
    for modality in _values_of(query, "modalitiesInStudy"):
        if not _MODALITY.fullmatch(modality):
            raise NotUnderstood("modalitiesInStudy: modalities, with commas between")
        terms.append(f"mod:{modality}")
    newest = query.get("mostRecentResults", "") == "1"
    return _page_url({"q": " ".join(terms), **({"open": "newest"} if newest else {})})


def _values_of(query: Mapping[str, str], name: str) -> list[str]:
    values = [value.strip() for value in query.get(name, "").split(",") if value.strip()]
    if len(values) > _MOST:
        raise NotUnderstood(f"{name}: {_MOST} at most")
    return values


def _term(name: str, value: str) -> str:
    """A term that matches a value literally."""
    value = value.strip()
    if not value or len(value) > _LONGEST or not value.isprintable() or _NOT_IN_TERMS & set(value):
        raise NotUnderstood(f"{name}: a value of at most {_LONGEST} characters without quotation marks or wildcards")
    return value


def _day(name: str, value: str) -> str:
    """The day of a date (DICOM DA or ISO 8601), or of a time."""
    match = _DAY.fullmatch(value.strip()[:_LONGEST])
    if match is None:
        raise NotUnderstood(f"{name}: a date, as 2024-01-31")
    return "-".join(match.groups())


def _page_url(parameters: Mapping[str, str]) -> str:
    return f"/?{urlencode(parameters)}"
