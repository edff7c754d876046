"""The answers of two web servers to one STOW-RS request (PS3.18 10.5.3 and Annex I), and their differences. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gantry.common.dicom.model.xml_reading import from_xml
from gantry.common.errors import GantryError, NotUnderstood
from gantry.common.ids import is_uid
from gantry.services.frontdoor.shadow.comparing import AnswerDifference, DifferenceKind, named_uids
from gantry.services.frontdoor.shadow.web_answers import WebAnswer, is_data_set, plain_body

STOW = "STOW-RS"
ANSWERED = (200, 202, 409)
"""Statuses of a server that has processed the instances."""
AWAY = (408, 425, 429, 500, 502, 503, 504)
"""Statuses after which the request may be repeated."""
BUSY = (429, 502, 503, 504)
"""Those of them that are about the server, not about the request."""
_REFERENCED, _FAILED, _OTHER_FAILURES = "00081199", "00081198", "0008119A"
_INSTANCE, _REASON = "00081155", "00081197"


@dataclass(frozen=True, slots=True)
class StowAnswer:
    """`stored` are SOP Instance UIDs, `failed` Failure Reasons by SOP Instance UID, `nameless` failures without one."""

    status: int
    stored: frozenset[str] = frozenset()
    failed: Mapping[str, int] = field(default_factory=dict)
    nameless: int = 0

    def to_json(self) -> dict[str, Any]:
        """The JSON form for the spool."""
        return {
            "status": self.status,
            "stored": sorted(self.stored),
            "failed": dict(sorted(self.failed.items())),
            "nameless": self.nameless,
        }

    @staticmethod
    def of(saved: object) -> StowAnswer:
        """Raises `ValueError`."""
        try:
            assert isinstance(saved, dict)
            return StowAnswer(
                int(saved["status"]),
                frozenset(str(uid) for uid in saved["stored"]),
                {str(uid): int(reason) for uid, reason in saved["failed"].items()},
                int(saved["nameless"]),
            )
        except (AssertionError, KeyError, TypeError, AttributeError):
            raise ValueError("a head without an answer") from None


def read_stow(answer: WebAnswer) -> StowAnswer:
    """Read an answer in JSON or XML; without a body no instance is stored or failed. Raises `NotUnderstood`."""
    if answer.status not in ANSWERED:
        return StowAnswer(answer.status)
    body = plain_body(answer)
    if not body.strip():
        return StowAnswer(answer.status)
    try:
        document = from_xml(body) if "xml" in answer.content_type else json.loads(body)
    except (ValueError, RecursionError, GantryError):
        raise NotUnderstood("an answer to STOW-RS that is neither JSON nor XML") from None
    if isinstance(document, list) and len(document) == 1:
        document = document[0]  # servers after the first edition of the standard answer like this
    if not isinstance(document, dict) or not is_data_set(document):
        raise NotUnderstood("an answer to STOW-RS that is no data set")
    failed = {_first(item, _INSTANCE): _reason(item) for item in _items(document, _FAILED)}
    nameless = len(_items(document, _OTHER_FAILURES)) + sum(not is_uid(uid) for uid in failed)
    stored = frozenset(_first(item, _INSTANCE) for item in _items(document, _REFERENCED))
    named = {uid: reason for uid, reason in failed.items() if is_uid(uid)}
    return StowAnswer(answer.status, frozenset(filter(is_uid, stored)), named, nameless)


def compare_stow(gantry: StowAnswer, other: StowAnswer) -> list[AnswerDifference]:
    """The differences: the status, which instances are stored, and why others failed."""
    differences: list[AnswerDifference] = []
    if gantry.status != other.status:
        differences.append(AnswerDifference(DifferenceKind.STATUS, 1, f"Gantry {gantry.status}, other {other.status}"))
    if gantry.status not in ANSWERED or other.status not in ANSWERED:
        return differences
    for kind, uids in (
        (DifferenceKind.ONLY_GANTRY, gantry.stored - other.stored),
        (DifferenceKind.ONLY_OTHER, other.stored - gantry.stored),
        (
            DifferenceKind.FAILURES,
            {uid for uid in gantry.failed.keys() & other.failed.keys() if gantry.failed[uid] != other.failed[uid]},
        ),
    ):
        if uids:
            differences.append(AnswerDifference(kind, len(uids), "", named_uids(sorted(uids))))
    if gantry.nameless != other.nameless:
        words = f"without a UID failed: Gantry {gantry.nameless}, other {other.nameless}"
        differences.append(AnswerDifference(DifferenceKind.FAILURES, 1, words))
    return differences


def _items(document: Mapping[str, Any], tag: str) -> list[Mapping[str, Any]]:
    return [item for item in document.get(tag, {}).get("Value", []) if isinstance(item, dict)]


def _first(item: Mapping[str, Any], tag: str) -> str:
    values = item.get(tag, {}).get("Value") or [""]
    return str(values[0]).strip(" \0")


def _reason(item: Mapping[str, Any]) -> int:
    reason = _first(item, _REASON)
    return int(reason) if reason.isascii() and reason.isdigit() and len(reason) < 7 else 0
