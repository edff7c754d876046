"""Who asks for a change, and why, for every role that changes something."""

from __future__ import annotations

import getpass
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks, and why: both are kept with the event for ever, so a reason names no patient."""

    by: str
    reason: str
    trace: str = ""


def this_user() -> str:
    """Who runs a command on this machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
