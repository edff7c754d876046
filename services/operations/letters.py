"""Dead letters over HTTP, as in `gantry dlq`: listed, shown, replayed, discarded."""

from __future__ import annotations

from dataclasses import asdict

from aiohttp import web

from gantry.common.errors import NotFound
from gantry.common.events import DeadLetter
from gantry.common.web.errors import HttpProblem
from gantry.services.maintenance.dead_letters import DeadLetters
from gantry.services.maintenance.letters import Letter, LetterLedger
from gantry.services.operations.callers import Operators
from gantry.services.operations.turns import RequestLimit
from gantry.services.operations.web import Parts, answer_json, number

_MOST_OFFSET = 1_000_000


class LettersPart:
    """Reads the topic of dead letters anew for each request: it is short, or the consumers have stopped."""

    def __init__(self, letters: DeadLetters, operators: Operators, turns: RequestLimit) -> None:
        self._letters = letters
        self._operators = operators
        self._turns = turns

    def parts(self) -> Parts:
        """What it answers."""
        return {
            ("GET", "letters"): self.listed,
            ("GET", "letters/{}"): self.show,
            ("POST", "letters/{}/replay"): self.replay,
            ("POST", "letters/{}/discard"): self.discard,
        }

    async def listed(self, request: web.BaseRequest, _: tuple[str, ...]) -> web.StreamResponse:
        """A page of letters, the newest first: the open ones, or with `state=all` all that are retained."""
        state, group = request.query.get("state", "open"), request.query.get("group", "")
        if state not in ("open", "all"):
            raise HttpProblem(400, "state: open or all")
        limit, offset = number(request, "limit", 50, 200), number(request, "offset", 0, _MOST_OFFSET, 0)
        async with self._turns.turn():
            ledger = await self._letters.ledger()
        letters = [
            letter for letter in (ledger.all() if state == "all" else ledger.open()) if group in ("", letter.group)
        ]
        page = letters[::-1][offset : offset + limit]
        following = offset + limit if offset + limit < len(letters) else None
        return await answer_json(
            request,
            {
                "letters": [asdict(letter) for letter in page],
                "count": len(letters),
                "open": len(letters) if state == "open" else len(ledger.open()),
                "next": following,
            },
        )

    async def show(self, request: web.BaseRequest, path: tuple[str, ...]) -> web.StreamResponse:
        """One letter, by its name or the beginning of it; 404 if none, or several, match."""
        async with self._turns.turn():
            ledger = await self._letters.ledger()
        return await answer_json(request, asdict(_described(ledger, _named(ledger, path[0]))))

    async def replay(self, request: web.BaseRequest, path: tuple[str, ...]) -> web.StreamResponse:
        """Publish the event again. 200: `handled` by its group, or `again` a letter; 202: the group will handle it
        later. 404; 409 for a letter that this release cannot read."""
        by = self._operators.viewer(request)
        async with self._turns.turn():
            letter = _named(await self._letters.ledger(), path[0])
            try:
                replayed = await self._letters.replay(letter, by)
            except NotFound as error:
                raise HttpProblem(409, str(error)) from error
        return await answer_json(request, asdict(replayed), 200 if replayed.handled else 202)

    async def discard(self, request: web.BaseRequest, path: tuple[str, ...]) -> web.StreamResponse:
        """Decide that the event is not to be applied, for a reason. 404."""
        requester = self._operators.operator(request)
        async with self._turns.turn():
            letter = _named(await self._letters.ledger(), path[0])
            await self._letters.discard(letter, requester.reason, requester.by)
            ledger = await self._letters.ledger()
        return await answer_json(request, asdict(_described(ledger, letter)))


def _named(ledger: LetterLedger, name: str) -> DeadLetter:
    try:
        return ledger.named(name)
    except NotFound:
        raise HttpProblem(404, "no such dead letter, or several begin so") from None


def _described(ledger: LetterLedger, letter: DeadLetter) -> Letter:
    return next(candidate for candidate in ledger.all() if ledger.letters[candidate.id] == letter)
