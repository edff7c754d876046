"""By which profile somebody was given de-identified copies, and what for: for who keeps the record of it."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True)
class DeidentifiedFor:
    """The name of the profile, and the reason that the caller gave."""

    profile: str
    reason: str


DEIDENTIFIED_FOR: web.RequestKey[DeidentifiedFor] = web.RequestKey("deidentified_for", DeidentifiedFor)
"""Set by the handler of a download of de-identified copies."""
