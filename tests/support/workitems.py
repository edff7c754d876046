"""Workitems for tests: attributes, events, and the resources of UPS-RS."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from email.message import Message
from typing import Any

from gantry.common.dicom.model.json_writing import keys_as_attributes
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.events import (
    WorkitemCancelRequested,
    WorkitemCreated,
    WorkitemErased,
    WorkitemSet,
    WorkitemStateRequested,
    WorkitemSubscribed,
    WorkitemSubscriptionSuspended,
    WorkitemUnsubscribed,
)
from gantry.common.orders import pack
from gantry.common.workitems import lock_of
from tests.support.orders import PARTITION, attributes

UID, MINE, OTHER = "1.2.840.7", "1.2.840.7.1", "1.2.840.7.2"
AT = 1_767_600_000_000_000
"""2026-01-05, 08:00 UTC."""
Values = dict[int, list[Any]]


def code(value: str, meaning: str) -> Values:
    """An item of a code sequence."""
    made = attributes(CodeValue=value, CodingSchemeDesignator="99TEST")
    return made | {TAGS["CodeMeaning"]: [meaning]}


def workitem(**values: Any) -> Values:
    """The attributes of N-CREATE."""
    fields = {
        "ScheduledProcedureStepPriority": "MEDIUM",
        "ProcedureStepLabel": "Segment the liver",
        "WorklistLabel": "LIVER",
        "ScheduledProcedureStepStartDateTime": "20260105093000",
        "InputReadinessState": "READY",
        "ProcedureStepState": "SCHEDULED",
        "PatientID": "P1",
        "PatientName": "Doe^Jane",
        "ScheduledWorkitemCodeSequence": [code("SEG", "Segmentation")],
        **values,
    }
    return attributes(**{name: value for name, value in fields.items() if value is not None})


def done(**values: Any) -> Values:
    """The attributes of N-SET before a workitem is completed."""
    item = attributes(
        PerformedStationNameCodeSequence=[code("W1", "Worker")],
        PerformedProcedureStepStartDateTime="20260105093000",
        PerformedProcedureStepEndDateTime="20260105093500",
        PerformedWorkitemCodeSequence=[code("SEG", "Segmentation")],
        OutputInformationSequence=[],
    )
    item[TAGS["PerformedStationNameCodeSequence"]] = [code("W1", "Worker")]
    for keyword, value in values.items():
        item[TAGS[keyword]] = value
    return {TAGS["UnifiedProcedureStepPerformedProcedureSequence"]: [item]}


def why() -> Values:
    """The attributes of N-SET before a workitem is cancelled."""
    item = {TAGS["ProcedureStepDiscontinuationReasonCodeSequence"]: [code("BAD", "Bad input")]}
    return {TAGS["ProcedureStepProgressInformationSequence"]: [item]}


def created(values: Values | None = None, change: str = "w1", uid: str = UID, at: int = AT) -> WorkitemCreated:
    return WorkitemCreated(PARTITION, "", uid, change, "ae RIS", "", at, pack(workitem() if values is None else values))


def set_(
    values: Values, transaction: str = MINE, change: str = "w2", uid: str = UID, at: int = AT + 1_000_000
) -> WorkitemSet:
    return WorkitemSet(PARTITION, "", uid, change, "ae W1", "", at, pack(values), lock_of(transaction))


def state(
    wanted: str, transaction: str = MINE, change: str = "w3", uid: str = UID, at: int = AT + 2_000_000
) -> WorkitemStateRequested:
    return WorkitemStateRequested(PARTITION, "", uid, change, "ae W1", "", at, wanted, lock_of(transaction))


def cancel(
    values: Values | None = None, change: str = "w4", uid: str = UID, at: int = AT + 3_000_000
) -> WorkitemCancelRequested:
    return WorkitemCancelRequested(PARTITION, "", uid, change, "ae RIS", "", at, pack(values or {}))


def erased(change: str = "w9", uid: str = UID) -> WorkitemErased:
    return WorkitemErased(PARTITION, "", uid, change, "archive", "", AT + 9_000_000, "old")


def subscribed(
    target: str = UID,
    subscriber: str = "BOARD",
    keys: Values | None = None,
    change: str = "s1",
    at: int = AT,
    *,
    lock: bool = False,
) -> WorkitemSubscribed:
    return WorkitemSubscribed(PARTITION, "", target, change, "rest board", "", at, pack(keys or {}), subscriber, lock)


def unsubscribed(
    target: str = UID, subscriber: str = "BOARD", change: str = "s2", at: int = AT + 10
) -> WorkitemUnsubscribed:
    return WorkitemUnsubscribed(PARTITION, "", target, change, "rest board", "", at, subscriber)


def suspended(
    target: str, subscriber: str = "BOARD", change: str = "s3", at: int = AT + 20
) -> WorkitemSubscriptionSuspended:
    return WorkitemSubscriptionSuspended(PARTITION, "", target, change, "rest board", "", at, subscriber)


def as_json(values: Values) -> dict[str, Any]:
    """A document of the DICOM JSON model."""
    return keys_as_attributes(values)


def claim(transaction: str = MINE, wanted: str = "IN PROGRESS") -> dict[str, Any]:
    """The body of a change of state."""
    return as_json(attributes(TransactionUID=transaction, ProcedureStepState=wanted))


class WorkitemsClient:
    """The resources of UPS-RS, over HTTP."""

    def __init__(self, http_port: int) -> None:
        self._base = f"http://127.0.0.1:{http_port}/dicom-web/workitems"

    def ask(self, method: str, path: str = "", body: Any = None) -> tuple[int, Any, Message]:
        """Status, the answer (text if it is not JSON), and its headers."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/dicom+json", "Accept": "*/*"}
        request = urllib.request.Request(self._base + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"null"), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), error.headers

    def create(self, uid: str, **values: Any) -> None:
        status, words, _ = self.ask("POST", f"?{uid}", as_json(workitem(**values)))
        assert status == 201, words

    def state(self, uid: str) -> str:
        """The state of a workitem, "" without one."""
        status, answer, _ = self.ask("GET", f"/{uid}")
        return str(answer[0]["00741000"]["Value"][0]) if status == 200 else ""
