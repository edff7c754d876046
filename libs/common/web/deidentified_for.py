"""The profile and the reason of a download of de-identified copies, for the audit record."""

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
