"""What stands for an identifier: made with a key, so that it is the same in every object and every run, and nobody
without the key can find out whose it is (HMAC-SHA256, RFC 2104). Pure.

Who has the key can try all identifiers there are: keep it as well as the list of patients, or throw it away.
"""

from __future__ import annotations

import hmac
import re
from base64 import b32encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from gantry.common.errors import NotDeidentified

MIN_KEY = 16
"""Bytes of a key at least."""
_MOST_DAYS = 3650

# PS3.6 A: frames of reference of atlases, colour palettes and other instances that everybody has.
_WELL_KNOWN = re.compile(r"1\.2\.840\.10008\.1\.(?:4\.1\.\d{1,2}|5\.\d|20\.[12](?:\.1)?|40(?:\.1)?|42(?:\.1)?)")


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """One key, and the pseudonyms of patients where they were given. With `patients`, a patient who is not among them
    is refused."""

    key: bytes = field(repr=False)
    patients: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if len(self.key) < MIN_KEY:
            raise NotDeidentified(f"the key is too short: {len(self.key)} bytes, and {MIN_KEY} are the least")

    def uid(self, uid: str) -> str:
        """The UID that stands for `uid`, under 2.25 (PS3.5 B.2). UIDs of the standard's own instances stay."""
        if not uid or _WELL_KNOWN.fullmatch(uid):
            return uid
        return f"2.25.{int.from_bytes(self._hash('uid', uid)[:16], 'big')}"

    def patient(self, patient_id: str) -> str:
        """The Patient ID that stands for this one. Raises `NotDeidentified` where the mapping does not have it."""
        if self.patients is not None:
            pseudonym = self.patients.get(patient_id)
            if pseudonym is None:
                raise NotDeidentified("the mapping of patients does not have the patient of an object")
            return pseudonym
        return self._name("patient", patient_id)

    def accession(self, number: str) -> str:
        """The Accession Number that stands for this one (at most 16 characters)."""
        return self._name("accession", number)

    def days(self, patient: str) -> int:
        """By how many days the dates of a patient are moved: into the past, by a day at least."""
        return -(1 + int.from_bytes(self._hash("days", patient)[:8], "big") % _MOST_DAYS)

    def _name(self, kind: str, value: str) -> str:
        return b32encode(self._hash(kind, value)).decode("ascii")[:16] if value else ""

    def _hash(self, kind: str, value: str) -> bytes:
        return hmac.digest(self.key, f"{kind}\0{value}".encode(), sha256)
