"""Peers: those of the policy, with their last contact and error, and refused callers; and a C-ECHO to one of the
policy."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from aiohttp import web

from gantry.common.clock import Clock
from gantry.common.config.policy import KnownPeer
from gantry.common.dicom.standard.sop_classes import VERIFICATION
from gantry.common.dicom.standard.transfer_syntaxes import IMPLICIT_LITTLE_ENDIAN
from gantry.common.errors import GantryError
from gantry.common.net import Peer, connect, scu
from gantry.common.statuses import SUCCESS
from gantry.common.web.errors import HttpProblem
from gantry.services.context import Peers
from gantry.services.operations.callers import Operators
from gantry.services.operations.seen import Seen, SeenCaller
from gantry.services.operations.topic_reader import TopicReader
from gantry.services.operations.turns import RequestLimit
from gantry.services.operations.web import Parts, answer_json

_ECHO_SECONDS = 15.0


class PeersPart:
    """Reads the recorded associations; calls only peers of the policy."""

    def __init__(
        self,
        peers: Peers,
        ours: str,
        seen: Seen,
        associations: TopicReader,
        clock: Clock,
        operators: Operators,
        turns: RequestLimit,
    ) -> None:
        self._peers = peers
        self._ours = ours
        self._seen = seen
        self._associations = associations
        self._clock = clock
        self._operators = operators
        self._turns = turns
        self._calling = RequestLimit(4, _ECHO_SECONDS + 5)

    def parts(self) -> Parts:
        """What it answers."""
        return {("GET", "peers"): self.listed, ("POST", "peers/{}/echo"): self.echo}

    async def listed(self, request: web.BaseRequest, _: tuple[str, ...]) -> web.StreamResponse:
        """The peers of the policy in force here, other titles that were admitted, and refusals, the latest first."""
        async with self._turns.turn():
            await self._associations.read()
        self._seen.forget(self._clock.now_us())
        known = self._peers.known()
        callers = self._seen.callers
        in_file = self._peers.in_file()
        listed = [
            {
                **_known(peer),
                "source": "file" if peer.ae_title in in_file else "api",
                **_caller(callers.get(peer.ae_title)),
            }
            for peer in known
        ]
        titles = {peer.ae_title for peer in known}
        others = [
            {"ae_title": title, "known": False, **_caller(caller)}
            for title, caller in callers.items()
            if title not in titles
        ]
        refused = sorted(self._seen.refused.values(), key=lambda caller: -caller.at)
        body = {
            "ours": self._ours,
            "peers": listed + sorted(others, key=lambda peer: str(peer["ae_title"])),
            "refused": [
                {
                    "ae_title": caller.title,
                    "called": caller.called,
                    "address": caller.address,
                    "why": caller.why,
                    "at": caller.at,
                    "times": caller.times,
                }
                for caller in refused[:200]
            ],
        }
        return await answer_json(request, body)

    async def echo(self, request: web.BaseRequest, path: tuple[str, ...]) -> web.StreamResponse:
        """Call a peer of the policy and verify (PS3.4 A): 200 with the result, and the host that made the call; 404 for
        one that the policy does not name, 409 for one without host and port."""
        self._operators.viewer(request)
        title = path[0]
        if title not in {peer.ae_title for peer in self._peers.known()}:
            raise HttpProblem(404, "the policy names no such peer")
        peer = self._peers.contact(title, self._ours)
        if peer is None:
            raise HttpProblem(409, "the policy names no host and port of it: it cannot be called")
        async with self._calling.turn():
            begun = self._clock.monotonic()
            why = await _verified(peer)
            seconds = self._clock.monotonic() - begun
        body = {"ok": not why, "why": why, "seconds": round(seconds, 3), "called_from": socket.gethostname()}
        return await answer_json(request, body)


async def _verified(peer: Peer) -> str:
    """Why a peer does not verify; "" if it does."""
    try:
        async with asyncio.timeout(_ECHO_SECONDS), connect(peer, [(VERIFICATION, [IMPLICIT_LITTLE_ENDIAN])]) as calls:
            status = await scu.echo(calls, timeout=_ECHO_SECONDS)
    except TimeoutError:
        return f"no answer within {_ECHO_SECONDS:g} s"
    except GantryError as error:
        return str(error)
    return "" if status == SUCCESS else f"it answered {status:04X}H"


def _known(peer: KnownPeer) -> dict[str, Any]:
    return {
        "ae_title": peer.ae_title,
        "known": True,
        "host": peer.host,
        "port": peer.port,
        "from": [str(network) for network in peer.addresses],
        "may": sorted(peer.may),
        "move_destination": peer.move_destination,
        "tls": peer.tls,
    }


def _caller(caller: SeenCaller | None) -> dict[str, Any]:
    caller = caller or SeenCaller()
    return {
        "at": caller.at,
        "address": caller.address,
        "outcome": caller.outcome,
        "error": caller.error,
        "error_at": caller.error_at,
        "associations": caller.associations,
    }
