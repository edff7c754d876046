"""Orders as ORM^O01, OMG^O19 and OMI^O23 place, change and cancel them (HL7 v2.5 4.4, IHE RAD-2, RAD-3, RAD-4, RAD-13).
Pure.

A group of a message begins with ORC. Groups of one order key are one order with several steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.hl7.actions import Action, Nothing
from gantry.common.hl7.collecting import CollectedAttributes
from gantry.common.hl7.datatypes import Element
from gantry.common.hl7.message import Hl7Message, MessageSegment
from gantry.common.hl7.order_attributes import requested_procedure, scheduled_step, with_study
from gantry.common.hl7.patients import demographics, identity_of_order
from gantry.common.hl7.problems import ErrorCode, MessageProblem, MessageRefused, Spot
from gantry.common.hl7.profiles import SenderProfile
from gantry.common.lifecycle.patients import values_of
from gantry.common.orders import Attributes, Changes, OrderCancellation, OrderChange, PlacedOrder, order_key

# HL7 table 0119.
_NEW = ("NW", "SN", "PA", "CH")
_CHANGED = ("XO", "XX")
_CANCELLED = ("CA", "OC", "DC", "OD")
_STATUS = ("SC", "OK", "RE")
# HL7 table 0038, order status.
_CANCELLED_STATUS = ("CA", "DC")
_MOST_GROUPS = 200
_STEPS = TAGS["ScheduledProcedureStepSequence"]
_STEP_ID = TAGS["ScheduledProcedureStepID"]


@dataclass(frozen=True, slots=True)
class MessageOrigin:
    """Who asks, and in which message: what every change of an order says of where it comes from."""

    source: str
    message: str
    trace: str
    change: str

    @classmethod
    def of(cls, message: Hl7Message, change: str, trace: str = "") -> MessageOrigin:
        """Of a message; `change` names it, so that the same message twice is one change."""
        return cls(f"hl7 {message.source}", message.control_id, trace, change)

    def numbered(self, number: int) -> MessageOrigin:
        """Of one order of several in a message."""
        return replace(self, change=f"{self.change}-{number}")


@dataclass(frozen=True, slots=True)
class _Group:
    """What one ORC group says: what it does, the order's key and attributes, and those of its step; `named` is whether
    the message names the step."""

    control: str
    key: str
    values: Mapping[str, Element]
    step: Mapping[str, Element]
    step_id: str
    named: bool = True


def order_actions(message: Hl7Message, profile: SenderProfile, origin: MessageOrigin) -> list[Action]:
    """What a message about orders asks for, in its order. Raises `MessageRefused`."""
    collected = CollectedAttributes()
    order_groups = list(islice(message.groups("ORC"), _MOST_GROUPS + 1))
    if len(order_groups) > _MOST_GROUPS:
        raise MessageRefused(
            MessageProblem(ErrorCode.SEGMENT_SEQUENCE, f"more than {_MOST_GROUPS} orders in one message", Spot("ORC"))
        )
    groups = [_group(message, group, profile, collected) for group in order_groups]
    if not groups:
        collected.wrong(Spot("ORC"), "ORC is needed", ErrorCode.SEGMENT_SEQUENCE)
    collected.require_sound()
    groups = _numbered(groups)
    # In the order of the message, neighbours that do the same to one order together.
    runs: list[list[_Group]] = []
    for group in groups:
        if not runs or (runs[-1][0].key, runs[-1][0].control) != (group.key, group.control):
            runs.append([])
        runs[-1].append(group)
    return [_action(run, origin.numbered(number)) for number, run in enumerate(runs, 1)]


def attributes_of(values: Mapping[str, Element]) -> Attributes:
    """Attributes of the DICOM JSON model as orders have them."""
    return {int(name, 16): values_of(element) for name, element in values.items() if element.get("Value")}


def changes_of(values: Mapping[str, Element]) -> Changes:
    """The same as changes: one without values takes the attribute away."""
    return {int(name, 16): values_of(element) or None for name, element in values.items()}


def _numbered(groups: Iterable[_Group]) -> list[_Group]:
    """The same, with steps that the message does not name numbered within their order, from 1."""
    numbers: Counter[str] = Counter()
    numbered = []
    for group in groups:
        numbers[group.key] += 1
        step_id = group.step_id or str(numbers[group.key])
        numbered.append(replace(group, step_id=step_id, named=bool(group.step_id)))
    return numbered


def _group(
    message: Hl7Message, group: Sequence[MessageSegment], profile: SenderProfile, collected: CollectedAttributes
) -> _Group:
    orc = group[0]
    control = _control(orc, collected)
    order, step = CollectedAttributes(collected.problems), CollectedAttributes(collected.problems)
    pid = message.first("PID")
    identity_of_order(pid, profile, order)
    if pid is not None:
        demographics(pid, order)
    # ZDS stands once behind the message's orders in IHE's profile: it is of all of them.
    segments = [*group, *(message.all("ZDS") if not any(segment.name == "ZDS" for segment in group) else [])]
    requested_procedure(segments, message.first("PV1"), profile, order)
    step_id = scheduled_step(segments, profile, step)
    key = order_key(attributes_of(order.values))
    if not key:
        spot = Spot(profile.accession[0].segment, 1, profile.accession[0].field) if profile.accession else Spot("OBR")
        collected.missing(spot, "an accession number is needed: which field has it is said by the sender's profile")
    if control == "place":
        with_study(key, order)
        if not order.has("PatientID"):
            collected.missing(Spot("PID", field=3), "a patient identifier is needed")
    return _Group(control, key, order.values, step.values, step_id)


def _control(orc: MessageSegment, collected: CollectedAttributes) -> str:
    control, status = orc.text(1), orc.text(5)
    if control in _CANCELLED or (control in _STATUS and status in _CANCELLED_STATUS):
        return "cancel"
    if control in _NEW:
        return "place"
    if control in _CHANGED:
        return "change"
    if control in _STATUS:
        return "status"
    if not control:
        collected.missing(orc.spot(1), "an order control code is needed")
    else:
        collected.wrong(orc.spot(1), "this order control code is not taken", ErrorCode.TABLE_VALUE_NOT_FOUND)
    return ""


def _action(run: Sequence[_Group], origin: MessageOrigin) -> Action:
    first = run[0]
    details = {"source": origin.source, "message": origin.message, "change": origin.change, "trace": origin.trace}
    if first.control == "cancel":
        return OrderCancellation(first.key, steps=_named(run), reason="cancelled by its placer or filler", **details)
    if first.control == "status":
        return Nothing("the state of a step follows from its performed procedure steps, not from a status message")
    if first.control == "change":
        steps = {group.step_id: changes_of(group.step) for group in run if group.step}
        return OrderChange(first.key, changes_of(first.values), steps=steps, **details)
    items = [{**attributes_of(group.step), _STEP_ID: [group.step_id]} for group in run]
    _require_different(items)
    return PlacedOrder(first.key, {**attributes_of(first.values), _STEPS: list(items)}, **details)


def _named(run: Sequence[_Group]) -> tuple[str, ...]:
    """The steps that a cancellation names: none where a group names no step, which is the whole order."""
    return tuple(group.step_id for group in run) if all(group.named for group in run) else ()


def _require_different(items: Sequence[Attributes]) -> None:
    ids = [str(item[_STEP_ID]) for item in items]
    if len(set(ids)) < len(ids):
        text = "two steps of one order have the same scheduled procedure step id"
        raise MessageRefused(MessageProblem(ErrorCode.DUPLICATE_KEY, text, Spot("OBR", field=20)))
