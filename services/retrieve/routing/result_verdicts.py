"""What an acknowledgement means for a route (pure)."""

from __future__ import annotations

from gantry.common.hl7.answers import Acknowledged
from gantry.services.retrieve.routing.attempted import Attempted

_REFUSALS = frozenset(("AE", "AR", "CE", "CR"))
_MOST_PROBLEMS = 3
_LONGEST_WORDS = 160


def answers(answer: Acknowledged, control_id: str) -> bool:
    """Whether this is the answer to a message. Without MSA-2 it can be about no other: a connection carries one
    message. An answer to another message came late."""
    return answer.control_id in ("", control_id)


def verdict(receiver: str, answer: Acknowledged, control_id: str, uid: str) -> Attempted:
    """The outcome of a message about the study `uid`."""
    if answer.accepted and answer.control_id == control_id:
        return Attempted((uid,), (), "")
    if answer.accepted:
        why = f"{receiver} answered {answer.code} without saying to what (MSA-2)"
        return Attempted((), (uid,), why, refused=True)
    if answer.code in _REFUSALS:
        # The text of a receiver becomes one short line in lists and records.
        words = " ".join(("; ".join(answer.problems[:_MOST_PROBLEMS]) or answer.text)[:_LONGEST_WORDS].split())
        return Attempted((), (uid,), f"{receiver} answered {answer.code}{f': {words}' if words else ''}", refused=True)
    return Attempted((), (uid,), f"{receiver}: what it answers is no acknowledgement (MSA-1)")
