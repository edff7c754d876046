"""Reports as ORU^R01 brings them (HL7 v2.5 7.3.1, IHE RAD-28): how far each is, and its text. Pure.

A group of a message begins with OBR, or with the ORC before it. Groups of one order key are one report: RIS send one
text for examinations that were ordered together, or a part of it for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.errors import NotUnderstood
from gantry.common.hl7.actions import Action, Nothing, ReportOrder
from gantry.common.hl7.collecting import CollectedAttributes
from gantry.common.hl7.datatypes import date_and_time, performer_name, short
from gantry.common.hl7.message import Hl7Message, MessageSegment
from gantry.common.hl7.order_attributes import order_identifiers
from gantry.common.hl7.orders import MessageOrigin, attributes_of
from gantry.common.hl7.problems import ErrorCode, MessageProblem, MessageRefused, Spot
from gantry.common.hl7.profiles import SenderProfile
from gantry.common.lifecycle.identity import PatientIdentity
from gantry.common.orders import OrderReport, ReportStatus, order_key

REPORT = "ORU^R01"
# HL7 table 0123, result status.
_STATUSES = {
    "P": ReportStatus.PRELIMINARY,
    "R": ReportStatus.PRELIMINARY,
    "A": ReportStatus.PRELIMINARY,
    "F": ReportStatus.FINAL,
    "C": ReportStatus.CORRECTED,
    "X": ReportStatus.CANCELLED,
}
_NO_RESULT = frozenset("OIS")
_BY_HASTE = (ReportStatus.PRELIMINARY, ReportStatus.CORRECTED, ReportStatus.FINAL, ReportStatus.CANCELLED)
"""Of the parts of a report the first one of these counts."""
# HL7 table 0125, value type.
_TEXTS = frozenset(("TX", "FT", "ST"))
_CODES = frozenset(("CE", "CWE", "CNE"))
_DOCUMENTS = frozenset(("ED", "RP"))
_MOST_GROUPS = 200
_TEXT, _OBSERVED, _OBSERVER = TAGS["TextValue"], TAGS["ObservationDateTime"], TAGS["VerifyingObserverName"]
_TITLE = TAGS["RequestedProcedureDescription"]
_LINES = "\n\t"


@dataclass(frozen=True, slots=True)
class _Part:
    """What one group says; without `status` there is no result yet."""

    key: str
    status: ReportStatus | None
    text: str
    title: str
    observer: str
    observed: str
    documents: int


def report_actions(message: Hl7Message, profile: SenderProfile, origin: MessageOrigin) -> list[Action]:
    """What a message with results asks for: each order has its report. Raises `MessageRefused`."""
    groups = list(islice(_groups(message), _MOST_GROUPS + 1))
    if len(groups) > _MOST_GROUPS:
        text = f"more than {_MOST_GROUPS} orders in one message"
        raise MessageRefused(MessageProblem(ErrorCode.SEGMENT_SEQUENCE, text, Spot("OBR")))
    collected = CollectedAttributes()
    patient = _patient(message.first("PID"), profile, collected)
    parts = [_part(group, profile, collected) for group in groups]
    if not parts:
        collected.wrong(Spot("OBR"), "OBR is needed", ErrorCode.SEGMENT_SEQUENCE)
    collected.require_sound()
    by_order: dict[str, list[_Part]] = {}
    for part in parts:
        by_order.setdefault(part.key, []).append(part)
    numbered = enumerate(by_order.values(), 1)
    return [_action(group, patient, origin.numbered(number)) for number, group in numbered]


def _groups(message: Hl7Message) -> Iterator[list[MessageSegment]]:
    group: list[MessageSegment] = []
    observed = False
    for segment in message.segments:
        begins = segment.name in ("ORC", "OBR")
        if begins and observed:
            yield group
            group, observed = [], False
        observed = observed or segment.name == "OBR"
        if group or begins:
            group.append(segment)
    if observed:
        yield group


def _patient(
    pid: MessageSegment | None, profile: SenderProfile, collected: CollectedAttributes
) -> PatientIdentity | None:
    if pid is None:
        collected.wrong(Spot("PID"), "PID is needed: whom the report is about", ErrorCode.SEGMENT_SEQUENCE)
        return None
    try:
        identity = profile.identity(pid.repetitions(3), trusted=False)
    except NotUnderstood as error:
        collected.wrong(pid.spot(3), str(error))
        return None
    if identity is None:
        collected.missing(pid.spot(3), "a patient identifier is needed")
    return identity


def _part(group: Sequence[MessageSegment], profile: SenderProfile, collected: CollectedAttributes) -> _Part:
    order = CollectedAttributes(collected.problems)
    order_identifiers(group, profile, order)
    key = order_key(attributes_of(order.values))
    obr = next(segment for segment in group if segment.name == "OBR")
    if not key:
        collected.missing(obr.spot(18), "an accession number is needed: which field has it is said by the profile")
    status = obr.text(25)
    if not status:
        collected.missing(obr.spot(25), "a result status is needed")
    elif status not in _STATUSES and status not in _NO_RESULT:
        collected.wrong(obr.spot(25), "this result status is not taken", ErrorCode.TABLE_VALUE_NOT_FOUND)
    observer = performer_name(obr.field(32))
    if observer is None:
        collected.wrong(obr.spot(32), "a name with a character that no PN has")
    results = [segment for segment in group if segment.name == "OBX"]
    return _Part(
        key,
        _STATUSES.get(status),
        "\n".join(_lines(results)),
        short(obr.text(44, 2) or obr.text(4, 2)),
        str((observer or {}).get("Alphabetic", "")),
        "".join(date_and_time(obr.text(22)) or ()),
        sum(1 for result in results if result.text(2) in _DOCUMENTS),
    )


def _lines(results: Iterable[MessageSegment]) -> Iterator[str]:
    """The text of a report, with a line for each heading (OBX-3.2) that is another one than before."""
    before = ""
    for result in results:
        text = _value(result)
        if not text:
            continue
        heading = result.text(3, 2)
        if heading and heading != before:
            yield f"{heading}:"
        before = heading
        yield text


def _value(segment: MessageSegment) -> str:
    kind = segment.text(2)
    if kind in _DOCUMENTS:
        return ""
    if kind in _TEXTS:
        text = segment.lines(5)
    elif kind in _CODES:
        text = ", ".join(code.text(2) or code.text(1) for code in segment.repetitions(5))
    else:
        text = f"{segment.text(5)} {segment.text(6, 2) or segment.text(6)}"
    return "".join(character for character in text if character in _LINES or character.isprintable()).strip()


def _action(parts: Sequence[_Part], patient: PatientIdentity | None, origin: MessageOrigin) -> Action:
    """The report of one order, of all its parts that have a result."""
    reported = [part for part in parts if part.status is not None]
    statuses = {part.status for part in reported}
    if not reported or patient is None:
        return Nothing("there is no result yet")
    fields = {
        _TEXT: "\n\n".join(part.text for part in reported if part.text),
        _TITLE: next((part.title for part in reported if part.title), ""),
        _OBSERVER: next(({"Alphabetic": part.observer} for part in reported if part.observer), ""),
        _OBSERVED: max(part.observed for part in reported),
    }
    report = OrderReport(
        parts[0].key,
        next(status for status in _BY_HASTE if status in statuses),
        {tag: [value] for tag, value in fields.items() if value},
        origin.source,
        message=origin.message,
        change=origin.change,
        trace=origin.trace,
    )
    return ReportOrder(report, patient, sum(part.documents for part in reported))
