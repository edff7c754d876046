"""What an acknowledgement means for a route (pure)."""

from __future__ import annotations

from gantry.common.hl7.answers import Acknowledged
from gantry.services.retrieve.routing.attempted import Attempted

_REFUSALS = frozenset(("AE", "AR", "CE", "CR"))
_MOST_PROBLEMS = 3
_LONGEST_WORDS = 160


def answers(said: Acknowledged, control_id: str) -> bool:
    """Whether this is the answer to a message. Without MSA-2 it can be about no other: a connection carries one
    message. An answer to another message came late."""
    return said.control_id in ("", control_id)


def verdict(receiver: str, said: Acknowledged, control_id: str, uid: str) -> Attempted:
    """The outcome of a message about the study `uid`."""
    if said.accepted and said.control_id == control_id:
        return Attempted((uid,), (), "")
    if said.accepted:
        why = f"{receiver} answered {said.code} without saying to what (MSA-2)"
        return Attempted((), (uid,), why, refused=True)
    if said.code in _REFUSALS:
        # The text of a receiver becomes one short line in lists and records.
        words = " ".join(("; ".join(said.problems[:_MOST_PROBLEMS]) or said.text)[:_LONGEST_WORDS].split())
        return Attempted((), (uid,), f"{receiver} answered {said.code}{f': {words}' if words else ''}", refused=True)
    return Attempted((), (uid,), f"{receiver}: what it answers is no acknowledgement (MSA-1)")
