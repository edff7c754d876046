"""STOW-RS responses (PS3.18 10.5.3 and Annex I), made from the outcome of each instance. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gantry.common.amounts import counted
from gantry.common.errors import DependencyUnavailable, GantryError, QuotaReached
from gantry.common.events import InstanceStored
from gantry.common.ids import is_uid
from gantry.common.statuses import COERCION_OF_DATA_ELEMENTS, KEPT_WITHOUT_MATCHING_SOP_CLASS

COERCED = COERCION_OF_DATA_ELEMENTS
"""PS3.18 table I.2-1: Coercion of Data Elements."""
MISMATCH = KEPT_WITHOUT_MATCHING_SOP_CLASS
"""PS3.18 table I.2-1: Data Set does not match SOP Class; used also if the file names another instance."""
ANOTHER_OBJECT_OF_THIS_UID = 0xB111
"""A Warning Reason of our own, as PS3.18 table I.2-1 lets us have them: 0111H (duplicate SOP instance) as a warning. It
is not a DIMSE status."""

_LONGEST_COMMENT, _MOST_REASONS = 64, 3
_OK, _ACCEPTED, _CONFLICT, _UNAVAILABLE = 200, 202, 409, 503


@dataclass(frozen=True, slots=True)
class StowOutcome:
    """The outcome of one instance. `failure` is a Failure Reason, `warning` a Warning Reason; 0 is none. `retry`: the
    failure is temporary; `why`: what is wrong, in words. An unknown UID is "". `digest`, `transfer_syntax_uid` and
    `receipt` are those of the stored object's event."""

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    failure: int = 0
    warning: int = 0
    retry: bool = False
    digest: str = ""
    transfer_syntax_uid: str = ""
    receipt: str = ""
    why: str = ""


def stored_outcome(event: InstanceStored, warning: int = 0) -> StowOutcome:
    """The outcome of a stored instance."""
    return StowOutcome(
        event.sop_class_uid,
        event.sop_instance_uid,
        event.study_instance_uid,
        event.series_instance_uid,
        warning=warning,
        digest=event.digest,
        transfer_syntax_uid=event.transfer_syntax_uid,
        receipt=event.receipt,
    )


def failed_outcome(error: GantryError, sop_class_uid: str = "", sop_instance_uid: str = "") -> StowOutcome:
    """The outcome of a failed instance, with the UIDs that its sender gave; invalid UIDs are not echoed."""
    named = is_uid(sop_class_uid) and is_uid(sop_instance_uid)
    return StowOutcome(
        sop_class_uid if named else "",
        sop_instance_uid if named else "",
        failure=error.dicom_status,
        retry=isinstance(error, DependencyUnavailable | QuotaReached),
        why=str(error),
    )


def status_of(outcomes: Sequence[StowOutcome]) -> int:
    """PS3.18 table 10.5.3-1: 200 if all are stored as they were sent, 202 if some failed or have a warning, 409 if none
    is stored; 503 if none is stored and every failure is temporary."""
    failures = [outcome for outcome in outcomes if outcome.failure]
    if len(failures) < len(outcomes):
        return _ACCEPTED if failures or any(outcome.warning for outcome in outcomes) else _OK
    return _UNAVAILABLE if failures and all(outcome.retry for outcome in failures) else _CONFLICT


def response_of(outcomes: Sequence[StowOutcome], base_url: str) -> dict[str, Any]:
    """The Store Instances Response Module (PS3.18 table I.1-1) in the DICOM JSON model. `base_url` is that of the
    resources, without a trailing slash."""
    response: dict[str, Any] = {}
    stored = [outcome for outcome in outcomes if not outcome.failure]
    studies = {outcome.study_instance_uid for outcome in stored}
    if len(studies) == 1:
        response["00081190"] = _element("UR", f"{base_url}/studies/{studies.pop()}")
    named = [outcome for outcome in outcomes if outcome.failure and outcome.sop_instance_uid]
    nameless = [outcome for outcome in outcomes if outcome.failure and not outcome.sop_instance_uid]
    sequences = {
        "00081198": [_names(outcome) | _failure(outcome) for outcome in named],
        "00081199": [_reference(outcome, base_url) for outcome in stored],
        "0008119A": [_failure(outcome) for outcome in nameless],
    }
    return response | {tag: {"vr": "SQ", "Value": items} for tag, items in sequences.items() if items}


def words_of_failures(outcomes: Sequence[StowOutcome]) -> str:
    """Why instances failed, for a line of the log: the most frequent reasons, each with its count."""
    reasons = Counter(f"{outcome.failure:04X}H {outcome.why}".strip() for outcome in outcomes if outcome.failure)
    lines = [f"{reason} ({number})" for reason, number in reasons.most_common(_MOST_REASONS)]
    more = len(reasons) - len(lines)
    return "; ".join([*lines, f"and {counted(more, 'other reason')}"] if more else lines)


def _reference(outcome: StowOutcome, base_url: str) -> dict[str, Any]:
    series = f"{base_url}/studies/{outcome.study_instance_uid}/series/{outcome.series_instance_uid}"
    item = _names(outcome) | {"00081190": _element("UR", f"{series}/instances/{outcome.sop_instance_uid}")}
    return item | ({"00081196": _element("US", outcome.warning)} if outcome.warning else {})


def _failure(outcome: StowOutcome) -> dict[str, Any]:
    """The Failure Reason, and the words that C-STORE sends as Error Comment (PS3.7 table C.1-1): an extension, since a
    number of table I.2-1 does not show what to correct."""
    item = {"00081197": _element("US", outcome.failure)}
    return item | ({"00000902": _element("LO", outcome.why[:_LONGEST_COMMENT].strip())} if outcome.why else {})


def _names(outcome: StowOutcome) -> dict[str, Any]:
    return {"00081150": _element("UI", outcome.sop_class_uid), "00081155": _element("UI", outcome.sop_instance_uid)}


def _element(vr: str, value: str | int) -> dict[str, Any]:
    return {"vr": vr, "Value": [value]}
