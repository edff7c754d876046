"""Search parameters of several resources: tokens, and whose it is (https://hl7.org/fhir/R4/search.html). Pure."""

from __future__ import annotations

from typing import Protocol

from gantry.common.dicom.query.matching import Condition, Empty, Single
from gantry.common.dicom.standard.tags import ISSUER_OF_PATIENT_ID, PATIENT_ID
from gantry.common.errors import NotUnderstood
from gantry.common.fhir.identifiers import Systems, patient_of


class FhirQuestion(Protocol):
    """What is asked for; `nothing`: it cannot match."""

    nothing: bool

    def require(self, tag: int, condition: Condition) -> None:
        """Another condition."""


def tokens(value: str) -> list[tuple[str | None, str]]:
    """`[system|]code,…`: systems, None where none is named, and codes (R4 3.1.1.4.10); `\\` quotes what separates."""
    pairs: list[tuple[str | None, str]] = []
    parts, quoted = [""], False
    for c in f"{value},":
        if quoted or c not in "\\,|":
            parts[-1] += c
            quoted = False
        elif c == "\\":
            quoted = True
        elif c == "|":
            parts.append("")
        elif len(parts) <= 2:
            pairs.append((parts[0], parts[1]) if len(parts) == 2 else (None, parts[0]))
            parts = [""]
        else:
            raise NotUnderstood("a token has more than one |")
    if quoted or parts != [""]:
        raise NotUnderstood("a token ends in a backslash")
    if not pairs or any(not code for _, code in pairs):
        raise NotUnderstood("a token has no value")
    return pairs


def patient(search: FhirQuestion, value: str, _: Systems) -> None:
    """A reference to one Patient."""
    identity = patient_of(value.removeprefix("Patient/"))
    if identity is None:
        search.nothing = True
    else:
        _of_patient(search, *identity)


def patient_identifier(search: FhirQuestion, value: str, systems: Systems) -> None:
    """A Patient ID, of any issuer, of none, or of the one that a system stands for."""
    pairs = tokens(value)
    if len(pairs) > 1:
        raise NotUnderstood("one identifier of a patient at a time")
    system, patient_id = pairs[0]
    issuer = systems.issuer(system) if system else ""
    if system is None:
        search.require(PATIENT_ID, Single((patient_id,)))
    elif issuer is None:
        search.nothing = True
    else:
        _of_patient(search, patient_id, issuer)


def _of_patient(search: FhirQuestion, patient_id: str, issuer: str) -> None:
    search.require(PATIENT_ID, Single((patient_id,)))
    search.require(ISSUER_OF_PATIENT_ID, Single((issuer,)) if issuer else Empty())
