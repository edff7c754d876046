"""What a STOW-RS answer says about the instances of its request (PS3.18 10.5.3, Annex I). Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gantry.common.errors import NotUnderstood
from gantry.common.statuses import PROCESSING_FAILURE, is_warning

_ANSWERED = frozenset((200, 202, 409))
"""PS3.18 table 10.5.3-1: the statuses whose body has the outcome of each instance."""
_OF_THE_REQUEST = frozenset((400, 406, 411, 413, 414, 415, 422))
"""The server is up, and refuses the content of this request."""
_FAILED, _REFERENCED, _OTHER_FAILURES = "00081198", "00081199", "0008119A"
_UID, _FAILURE, _WARNING = "00081155", "00081197", "00081196"


@dataclass(frozen=True, slots=True)
class SendingOutcome:
    """The outcome of a request. `statuses` are those of instances, by SOP Instance UID: 0, a Warning Reason, or a
    Failure Reason (PS3.18 tables I.2-1, I.2-2). `refused`: why the whole request was refused, if the server does not
    give the outcome of each instance; `away`: why nothing is known, and the server should not be called for a while."""

    statuses: Mapping[str, int] = field(default_factory=dict)
    refused: str = ""
    away: str = ""


def answer_of(status: int, body: bytes, sent: Collection[str]) -> SendingOutcome:
    """The answer to a request with the instances `sent` (SOP Instance UIDs). Only instances that it names count as
    taken; those named twice, or in a way that does not fit this request, do not."""
    if status in _OF_THE_REQUEST:
        return SendingOutcome(refused=f"answered {status}")
    if status not in _ANSWERED:
        return SendingOutcome(away=_words(status))
    try:
        statuses = _statuses(body, frozenset(sent))
    except NotUnderstood as error:
        if status == 409:
            return SendingOutcome(refused="answered 409")
        return SendingOutcome(away=f"answered {status}, and {error}")
    if not statuses:
        # PS3.18 10.5.3.3: a failure whose instance the server could not identify has its own sequence.
        return SendingOutcome(refused=f"answered {status}, and names none of the instances")
    return SendingOutcome(statuses | {uid: PROCESSING_FAILURE for uid in sent if uid not in statuses})


def _words(status: int) -> str:
    if status == 401 or status == 403:
        return f"answered {status}: is the token or the certificate the right one?"
    if 300 <= status < 400:
        return f"answered {status}: redirects are not followed; give the URL that it names"
    return f"answered {status}"


def _statuses(body: bytes, sent: frozenset[str]) -> dict[str, int]:
    """Raises `NotUnderstood`."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise NotUnderstood("what it says is no DICOM JSON") from None
    if isinstance(document, list) and len(document) == 1:
        document = document[0]
    if not isinstance(document, dict) or not {_FAILED, _REFERENCED, _OTHER_FAILURES}.intersection(document):
        raise NotUnderstood("what it says is no Store Instances Response")
    statuses: dict[str, int] = {}
    for item in _items(document, _REFERENCED):
        warning = _number(item, _WARNING)
        statuses[_text(item)] = warning if is_warning(warning) else 0
    for item in _items(document, _FAILED):
        reason = _number(item, _FAILURE)
        statuses[_text(item)] = PROCESSING_FAILURE if not reason or is_warning(reason) else reason
    return {uid: status for uid, status in statuses.items() if uid in sent}


def _items(document: Mapping[str, Any], tag: str) -> Iterator[Mapping[str, Any]]:
    for item in _values(document, tag):
        if isinstance(item, dict):
            yield item


def _values(item: Mapping[str, Any], tag: str) -> list[Any]:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def _text(item: Mapping[str, Any]) -> str:
    values = _values(item, _UID)
    return values[0] if values and isinstance(values[0], str) else ""


def _number(item: Mapping[str, Any], tag: str) -> int:
    values = _values(item, tag)
    value = values[0] if values else 0
    return value if isinstance(value, int) and 0 <= value <= 0xFFFF else 0
