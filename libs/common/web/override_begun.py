"""The beginning of an override, for the audit record."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from gantry.common.access.overrides import Override


@dataclass(frozen=True, slots=True)
class OverrideBegun:
    """What was opened, and the caller's reason."""

    override: Override
    reason: str


OVERRIDE_BEGUN: web.RequestKey[OverrideBegun] = web.RequestKey("override_begun", OverrideBegun)
"""Set by the handler of an override."""
