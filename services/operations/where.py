"""GET operations/where?term=…: where a study is, as in `gantry where`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aiohttp import web

from gantry.common.web.errors import HttpProblem
from gantry.services.operations.turns import RequestLimit
from gantry.services.operations.web import Parts, answer_json
from gantry.services.whereabouts.account import Account
from gantry.services.whereabouts.search import FoundStudies, Whereabouts
from gantry.services.whereabouts.words import advice, history_lines

_LONGEST_TERM = 64
"""Characters: as long as the longest of an accession number (16), a Patient ID and a UID (PS3.5 6.2)."""


class WherePart:
    """Asks `Whereabouts`."""

    def __init__(self, whereabouts: Whereabouts, turns: RequestLimit) -> None:
        self._whereabouts = whereabouts
        self._turns = turns

    def parts(self) -> Parts:
        """What it answers."""
        return {("GET", "where"): self.where}

    async def where(self, request: web.BaseRequest, _: tuple[str, ...]) -> web.StreamResponse:
        """What is known of the studies that `term` matches; 400 without one."""
        term = request.query.get("term", "").strip()
        if not term or len(term) > _LONGEST_TERM or not term.isprintable():
            raise HttpProblem(400, "term: an accession number, a Patient ID, or the UID of a study, series or instance")
        async with self._turns.turn():
            result = await self._whereabouts.search(term)
        return await answer_json(request, as_json(result))


def as_json(result: FoundStudies) -> dict[str, Any]:
    """As in `gantry where --json`, with the lines and the advice of each study."""
    accounts = [_account(account) for account in result.accounts]
    rest = {"more": result.more, "behind": result.behind, "dead": result.dead, "merged": result.merged}
    return {"accounts": accounts, **rest, "partly": result.partly}


def _account(account: Account) -> dict[str, Any]:
    lines = [{"of": heading, "fact": fact} for heading, fact in history_lines(account)]
    return {**asdict(account), "told": lines, "advice": advice(account)}
