"""Peers over HTTP: listed from the policy in force, with all fields; added, changed and removed beside those of the
policy file. Peers that the file names take precedence, and are not changed here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from secrets import token_hex
from typing import Any

from aiohttp import web

from gantry.common.access.added_peers import MOST_PEERS, AddedPeer, PeerChangeOutcome
from gantry.common.audit.changes import overtaken
from gantry.common.clock import Clock
from gantry.common.config.peer_entries import fields_of, peer_from, text_of
from gantry.common.config.policy import KnownPeer
from gantry.common.errors import ConfigError
from gantry.common.events import PeerRemoved, PeerSet
from gantry.common.ids import DEFAULT_PARTITION, is_ae_title
from gantry.common.runtime.auditing.trail import AuditTrail
from gantry.common.runtime.followed_peers import FollowedPeers
from gantry.common.web.callers import reason_of
from gantry.common.web.conditions import etag_of, require_condition
from gantry.common.web.errors import HttpProblem
from gantry.common.web.json_bodies import json_body
from gantry.common.web.server import TRACE
from gantry.services.context import Peers
from gantry.services.operations.callers import Operators
from gantry.services.operations.peer_rules import PeerRules
from gantry.services.operations.turns import RequestLimit
from gantry.services.operations.web import Parts, answer_json

_IN_FILE = "the policy file names this peer, and prevails: change it there"


class PeerChangesPart:
    """Answers from the log, the same at every process, and from the policy file of this process."""

    def __init__(
        self,
        peers: Peers,
        added: FollowedPeers,
        rules: PeerRules,
        clock: Clock,
        operators: Operators,
        audit: AuditTrail,
        turns: RequestLimit,
    ) -> None:
        self._peers = peers
        self._added = added
        self._rules = rules
        self._clock = clock
        self._operators = operators
        self._audit = audit
        self._turns = turns

    def parts(self) -> Parts:
        """What it answers."""
        return {
            ("GET", "policy"): self.listed,
            ("GET", "peers/{}"): self.show,
            ("PUT", "peers/{}"): self.set,
            ("DELETE", "peers/{}"): self.remove,
        }

    async def listed(self, request: web.BaseRequest, _: tuple[str, ...]) -> web.StreamResponse:
        """All peers in force with every field, those of the file first, and those of the API that the file hides."""
        async with self._turns.turn():
            added = (await self._added.latest()).standing()
            body = await asyncio.to_thread(_all_described, dict(self._peers.in_file()), added)
        return await answer_json(request, body)

    async def show(self, request: web.BaseRequest, path: tuple[str, ...]) -> web.StreamResponse:
        """One peer; with an ETag if the API added it. 404."""
        title = path[0]
        async with self._turns.turn():
            stands = (await self._added.latest()).of(title)
        in_file = self._peers.in_file().get(title)
        if in_file is None and stands is None:
            raise HttpProblem(404, "no such peer, in the policy file or added by the API")
        return await answer_json(request, _described(title, in_file, stands), headers=_tagged(stands))

    async def set(self, request: web.BaseRequest, path: tuple[str, ...]) -> web.StreamResponse:
        """Add a peer (201) or replace all of it (200), with a body of the fields of `peers:`. 400, with the field; 409
        for a title of the policy file, or too many peers; 412, 428 by the condition."""
        by, reason, title = self._operators.viewer(request), reason_of(request), path[0]
        if not is_ae_title(title):
            raise HttpProblem(400, "the path ends in no AE title (PS3.5 6.2: 1 to 16 characters, no backslash)")
        peer = self._peer_in(await json_body(request), title)
        async with self._turns.turn():
            added = await self._added.latest()
            stands = added.of(title)
            if title in self._peers.in_file():
                raise HttpProblem(409, _IN_FILE)
            _require(request, stands)
            entry = text_of(peer)
            if stands is None or stands.entry != entry:
                before = "" if stands is None else stands.entry
                change, at = token_hex(16), self._clock.now_us()
                event = PeerSet(
                    *(DEFAULT_PARTITION, request[TRACE], title, change, added.version(title)),
                    *(entry, before, reason, by, at),
                )
                await self._publish(event)
                stands, status = AddedPeer(change, peer, entry, by, reason, at), 200 if before else 201
            else:
                status = 200
        return await answer_json(request, _described(title, None, stands), status, _tagged(stands))

    async def remove(self, request: web.BaseRequest, path: tuple[str, ...]) -> web.StreamResponse:
        """Remove a peer that the API added, also one that the file hides. 404; 409 for one of the file; 412, 428."""
        by, reason, title = self._operators.viewer(request), reason_of(request), path[0]
        async with self._turns.turn():
            added = await self._added.latest()
            stands, in_file = added.of(title), title in self._peers.in_file()
            if stands is None:
                raise HttpProblem(409, _IN_FILE) if in_file else HttpProblem(404, "no such peer was added by the API")
            _require(request, stands)
            names = DEFAULT_PARTITION, request[TRACE], title, token_hex(16), added.version(title)
            await self._publish(PeerRemoved(*names, stands.entry, reason, by, self._clock.now_us()))
        return await answer_json(request, {"ae_title": title, "removed": True, "in_file": in_file})

    def _peer_in(self, body: object, title: str) -> KnownPeer:
        try:
            peer = peer_from(body, title)
            self._rules.require(peer)
        except ConfigError as error:
            raise HttpProblem(400, error.reason) from None
        return peer

    async def _publish(self, event: PeerSet | PeerRemoved) -> None:
        """Raises `HttpProblem` if the change was not accepted."""
        verdict = await self._added.tell(event)
        if verdict is PeerChangeOutcome.TAKEN:
            return
        self._audit.add(overtaken(event))
        if verdict is PeerChangeOutcome.TOO_MANY:
            raise HttpProblem(409, f"there are {MOST_PEERS} peers of the API already, or too many that were removed")
        raise HttpProblem(412, "it was changed meanwhile: get it again before changing it")


def _require(request: web.BaseRequest, stands: AddedPeer | None) -> None:
    version = "" if stands is None else stands.change
    require_condition(request.headers.get("If-Match", ""), request.headers.get("If-None-Match", ""), version)


def _tagged(stands: AddedPeer | None) -> dict[str, str]:
    return {} if stands is None else {"ETag": etag_of(stands.change)}


def _all_described(in_file: Mapping[str, KnownPeer], added: Mapping[str, AddedPeer]) -> dict[str, Any]:
    titles = [*in_file, *sorted(title for title in added if title not in in_file)]
    return {"peers": [_described(title, in_file.get(title), added.get(title)) for title in titles]}


def _described(title: str, in_file: KnownPeer | None, stands: AddedPeer | None) -> dict[str, Any]:
    """A peer: its origin, its entry, and, if from the API, who changed it last. Whether the file hides it is shown,
    too."""
    of_api = None if stands is None else _of_api(stands)
    if in_file is None:
        return {"ae_title": title, "source": "api", **(of_api or {})}
    return {"ae_title": title, "source": "file", "entry": fields_of(in_file), "hidden": of_api}


def _of_api(stands: AddedPeer) -> dict[str, Any]:
    entry = json.loads(stands.entry) if stands.peer is None else fields_of(stands.peer)
    document = {"entry": entry, "version": stands.change, "by": stands.by, "reason": stands.reason, "at": stands.at}
    return document if stands.peer is not None else {**document, "why_not": "its entry is of a newer release of Gantry"}
