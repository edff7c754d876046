"""Appointments as SIU^S12, S13 and S15 tell of them (HL7 v2.5 10.4): when and where the steps of an order are. Pure."""

from __future__ import annotations

from gantry.common.hl7.actions import Action
from gantry.common.hl7.collecting import CollectedAttributes
from gantry.common.hl7.fields import find
from gantry.common.hl7.message import Hl7Message
from gantry.common.hl7.order_attributes import scheduled_step
from gantry.common.hl7.orders import MessageOrigin, attributes_of, changes_of
from gantry.common.hl7.problems import ErrorCode, MessageProblem, MessageRefused, Spot
from gantry.common.hl7.profiles import SenderProfile
from gantry.common.orders import OrderChange, order_key

BOOKED = ("S12", "S13", "S14")
CANCELLED = "S15"
_UNNAMED_STEP = "1"


def appointment_actions(message: Hl7Message, profile: SenderProfile, origin: MessageOrigin) -> list[Action]:
    """What a message about an appointment asks for: a change of its order, which is placed by a message of its own. An
    appointment that is cancelled takes the time away, and leaves the order. Raises `MessageRefused`."""
    if message.event not in (*BOOKED, CANCELLED):
        text = "this event of SIU is not taken: see docs/hl7.md"
        raise MessageRefused(MessageProblem(ErrorCode.UNSUPPORTED_EVENT, text, Spot("MSH", field=9)), rejected=True)
    collected, step = CollectedAttributes(), CollectedAttributes()
    accession = find(message.segments, profile.accession)
    collected.text("AccessionNumber", accession)
    collected.text("RequestedProcedureID", find(message.segments, profile.procedure))
    key = order_key(attributes_of(collected.values))
    if not key:
        collected.missing(accession.spot, "the appointment names no order: which field does is said by the profile")
    step_id = scheduled_step(message.segments, profile, step) or _UNNAMED_STEP
    if message.event == CANCELLED:
        step.empty("ScheduledProcedureStepStartDate")
        step.empty("ScheduledProcedureStepStartTime")
    elif not step.has("ScheduledProcedureStepStartDate"):
        step.missing(Spot("SCH", field=11), "the appointment names no time")
    collected.problems += step.problems
    collected.require_sound()
    changes = {step_id: changes_of(step.values)}
    return [OrderChange(key, {}, origin.source, changes, origin.message, f"{origin.change}-1", origin.trace)]
