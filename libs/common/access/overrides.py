"""Overrides: a caller who sees only some studies opens another study or patient, for a time, with a reason. Pure.

A sealed token has its owner, what it opens and until when, and does not reveal whether such a study or patient exists.
Times are seconds since the epoch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gantry.common.access.identity import Identity
from gantry.common.access.sight import Alternative, Sight
from gantry.common.dicom.query.matching import Single, UidList
from gantry.common.dicom.standard.tags import ISSUER_OF_PATIENT_ID, PATIENT_ID, STUDY_INSTANCE_UID
from gantry.common.errors import NotUnderstood
from gantry.common.ids import is_uid

MOST_AT_ONCE = 8
SHORTEST_REASON, LONGEST_REASON = 10, 200
"""Characters."""
_LONGEST_ID = 64  # PS3.5 6.2: LO
_KEYS = frozenset(("study", "patient", "issuer", "reason"))


@dataclass(frozen=True, slots=True)
class Override:
    """A study, or a patient: an ID and its issuer, or the ID with any issuer ("")."""

    study: str = ""
    patient: str = ""
    issuer: str = ""
    until: float = 0.0

    @property
    def kind(self) -> str:
        """What it opens, in one word."""
        return "study" if self.study else "patient"

    def is_of_same(self, other: Override) -> bool:
        """Whether both open the same study or patient."""
        return (self.study, self.patient, self.issuer) == (other.study, other.patient, other.issuer)


def requested_override(content: Any) -> tuple[Override, str]:
    """The requested override, which has no duration yet, and the reason. `content` is the JSON of the request. Raises
    `NotUnderstood` in words that do not echo it."""
    if not isinstance(content, dict) or not content.keys() <= _KEYS:
        raise NotUnderstood('an override is {"study": UID} or {"patient": ID, "issuer": ISSUER}, with a "reason"')
    if not all(isinstance(value, str) for value in content.values()):
        raise NotUnderstood("the values of an override are texts")
    study, patient, issuer, reason = (content.get(key, "").strip() for key in ("study", "patient", "issuer", "reason"))
    if bool(study) is bool(patient) or (issuer and not patient):
        raise NotUnderstood("an override opens one study or one patient")
    if study and not is_uid(study):
        raise NotUnderstood("study: not a UID")
    if not (_is_id(patient) and _is_id(issuer)):
        raise NotUnderstood(f"patient, issuer: at most {_LONGEST_ID} characters, without a backslash")
    if not SHORTEST_REASON <= len(reason) <= LONGEST_REASON or not reason.isprintable():
        raise NotUnderstood(f"reason: one line of {SHORTEST_REASON} to {LONGEST_REASON} characters")
    return Override(study, patient, issuer), reason


def opened_by(override: Override) -> dict[str, str]:
    """What an override opens, with the names that `requested_override` reads."""
    if override.study:
        return {"study": override.study}
    return {"patient": override.patient, **({"issuer": override.issuer} if override.issuer else {})}


def widened(sight: Sight, overrides: Sequence[Override]) -> Sight:
    """The sight extended by the overrides; unrestricted sight stays so."""
    if sight.alternatives is None or not overrides:
        return sight
    return Sight((*sight.alternatives, *_alternatives(overrides)))


def with_further(standing: Iterable[Override], further: Override) -> tuple[Override, ...]:
    """Add an override; the latest are first. One that opens the same is replaced; beyond the limit, the oldest are
    dropped."""
    return (further, *(override for override in standing if not override.is_of_same(further)))[:MOST_AT_ONCE]


def of_overrides(overrides: Iterable[Override], identity: Identity) -> Mapping[str, Any]:
    """Overrides of an identity, as JSON."""
    rows = [[override.study, override.patient, override.issuer, override.until] for override in overrides]
    return {"for": _mark(identity), "opened": rows}


def overrides_of(content: Mapping[str, Any], identity: Identity, now: float) -> tuple[Override, ...] | None:
    """The unexpired overrides that `of_overrides` wrote; None if they belong to another identity. Those of another
    release open nothing."""
    if content.get("for") != _mark(identity):
        return None
    try:
        overrides = [
            Override(study, patient, issuer, float(until)) for study, patient, issuer, until in content["opened"]
        ]
    except (KeyError, ValueError, TypeError):
        return ()
    return tuple(override for override in overrides if now < override.until)[:MOST_AT_ONCE]


def _alternatives(overrides: Sequence[Override]) -> Iterable[Alternative]:
    studies = tuple(override.study for override in overrides if override.study)
    if studies:
        yield {STUDY_INSTANCE_UID: UidList(studies)}
    for override in overrides:
        if override.patient:
            of_issuer: Alternative = {ISSUER_OF_PATIENT_ID: Single((override.issuer,))} if override.issuer else {}
            yield {PATIENT_ID: Single((override.patient,)), **of_issuer}


def _is_id(text: str) -> bool:
    # PS3.5 6.2: a backslash separates values.
    return len(text) <= _LONGEST_ID and text.isprintable() and "\\" not in text


def _mark(identity: Identity) -> str:
    """A mark that is constant for one identity, and differs between identities."""
    caller = [identity.means.value, identity.issuer, identity.subject]
    return hashlib.sha256(json.dumps(caller).encode()).hexdigest()
