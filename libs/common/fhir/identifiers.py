"""How studies and patients are named in FHIR R4: ids, identifiers and their systems. Pure.

The id of an ImagingStudy is its Study Instance UID, which FHIR's ids can hold. That of a Patient is Patient ID and
Issuer of Patient ID, with what ids cannot hold written as -XX; where that is longer than an id may be (64 characters)
the patient has none, and is named by identifier alone. That of a ServiceRequest is the key of its order, likewise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

DICOM_UID = "urn:dicom:uid"
"""The system of DICOM UIDs, whose values are `urn:oid:UID`."""
OID = "urn:oid:"
_LONGEST_ID = 64
_PLAIN = re.compile(r"[A-Za-z0-9]")
_QUOTED = re.compile(r"(?:[A-Za-z0-9]|-[0-9A-F]{2})*")


@dataclass(frozen=True, slots=True)
class Systems:
    """Which URI stands for which issuer (of patients, of accession numbers)."""

    of_issuer: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, lines: Iterable[str]) -> Systems:
        """From settings, `ISSUER=URI`."""
        pairs = (line.partition("=") for line in lines)
        return cls({issuer: uri for issuer, _, uri in pairs})

    def issuer(self, system: str) -> str | None:
        """The issuer that a system stands for; None where there is no such."""
        return next((issuer for issuer, uri in self.of_issuer.items() if uri == system), None)

    def identifier(self, value: str, issuer: str, type_code: str) -> dict[str, Any]:
        """An Identifier of a type of HL7's table 0203."""
        coding = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": type_code}
        fields: dict[str, Any] = {"type": {"coding": [coding]}}
        if issuer in self.of_issuer:
            fields["system"] = self.of_issuer[issuer]
        fields["value"] = value
        if issuer:
            fields["assigner"] = {"display": issuer}
        return fields


def patient_name(patient_id: str, issuer: str) -> str:
    """The id of a Patient; "" where it has none."""
    name = ".".join(_quoted(part) for part in (patient_id, issuer) if part) if patient_id else ""
    return name if len(name) <= _LONGEST_ID else ""


def order_name(key: str) -> str:
    """The id of a ServiceRequest, from the key of an order; "" where it has none."""
    return patient_name(key, "")


def order_of(name: str) -> str:
    """The key of the order of a ServiceRequest's id; "" where it is none of ours."""
    patient = patient_of(name)
    return patient[0] if patient is not None and not patient[1] else ""


def patient_of(name: str) -> tuple[str, str] | None:
    """Patient ID and issuer of the id of a Patient; None where it is none of ours."""
    parts = name.split(".")
    if len(name) > _LONGEST_ID or len(parts) > 2 or not parts[0] or not all(map(_QUOTED.fullmatch, parts)):
        return None
    try:
        patient_id, issuer = (*(_unquoted(part) for part in parts), "")[:2]
    except UnicodeDecodeError:
        return None
    return (patient_id, issuer) if patient_name(patient_id, issuer) == name else None


def names_record(value: str, url: str) -> bool:
    """Whether a reference means the Patient of a health record at a URL: by id, by type and id, or by that URL."""
    return bool(url) and value in (url, url.rpartition("/")[2], "/".join(url.split("/")[-2:]))


def _quoted(text: str) -> str:
    return "".join(c if _PLAIN.fullmatch(c) else "".join(f"-{byte:02X}" for byte in c.encode()) for c in text)


def _unquoted(text: str) -> str:
    raw = re.sub(r"-(..)|(.)", lambda m: chr(int(m[1], 16)) if m[1] else m[2], text)
    return raw.encode("latin-1").decode()
