"""The requestor: an association with a peer, for sub-operations, reports and the command line."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gantry.common.errors import AssociationAborted, AssociationRejected, ConnectionFailed, PeerTimeout
from gantry.common.ids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gantry.common.net.association import Association
from gantry.common.net.connection import Connection, tls_words
from gantry.common.net.service import Service
from gantry.common.net.serving import ServingAssociation
from gantry.common.ul import (
    Aborted,
    Accepted,
    AssociateAccept,
    AssociateRequest,
    Fragment,
    Indication,
    PduLimits,
    ProposedContext,
    Rejected,
    RoleSelection,
)
from gantry.common.ul.negotiation import accepted_by_peer


@dataclass(frozen=True, slots=True)
class Peer:
    """The peer to connect to, and our own AE title. Times in seconds."""

    host: str
    port: int
    called_ae_title: str
    calling_ae_title: str
    tls: ssl.SSLContext | None = None
    connect_timeout: float = 10.0
    associate_timeout: float = 30.0
    limits: PduLimits = field(default_factory=PduLimits)
    preface: bytes = b""
    """Sent before the association request: a PROXY header that names the peer we connect for."""


class _Calling:
    """A connection that we open, until the peer has answered the A-ASSOCIATE-RQ."""

    def __init__(self, peer: Peer) -> None:
        self.answered: asyncio.Future[AssociateAccept] = asyncio.get_running_loop().create_future()
        self.association: ServingAssociation | None = None
        self.early: list[Indication] = []
        self.connection = Connection(
            requestor=True,
            limits=peer.limits,
            artim=peer.associate_timeout,
            on_fragments=self._on_fragments,
            on_indication=self._on_indication,
            on_lost=self._on_lost,
        )

    def _on_fragments(self, fragments: list[Fragment]) -> None:
        if self.association is not None:
            self.association.on_fragments(fragments)
        else:
            # The peer sent data in the same segment as its A-ASSOCIATE-AC. Copy it: the next read reuses the memory.
            self.early += [f._replace(data=memoryview(bytes(f.data))) for f in fragments]

    def _on_indication(self, indication: Indication) -> None:
        if self.association is not None:
            self.association.on_indication(indication)
        elif self.answered.done():
            self.early.append(indication)
        elif isinstance(indication, Accepted):
            self.answered.set_result(indication.accept)
        elif isinstance(indication, Rejected):
            reject = indication.reject
            self.answered.set_exception(AssociationRejected(reject.result, reject.source, reject.reason, reject.words))
        elif isinstance(indication, Aborted):
            self.answered.set_exception(AssociationAborted(f"during association: {indication.why}"))

    def _on_lost(self) -> None:
        if not self.answered.done():
            self.answered.set_exception(AssociationAborted("the peer closed the connection during association"))
        if self.association is not None:
            self.association.on_lost()

    def established(self, association: ServingAssociation) -> None:
        """Hand over to the association, with the indications that arrived meanwhile, in order."""
        self.association = association
        self.connection.established()
        for indication in self.early:
            if type(indication) is Fragment:
                association.on_fragments([indication])
            else:
                association.on_indication(indication)


async def _open(peer: Peer, calling: _Calling) -> None:
    loop = asyncio.get_running_loop()
    try:
        await asyncio.wait_for(
            loop.create_connection(
                lambda: calling.connection,
                peer.host,
                peer.port,
                ssl=peer.tls,
                server_hostname=peer.host if peer.tls is not None and peer.tls.check_hostname else None,
            ),
            peer.connect_timeout,
        )
    except TimeoutError:
        raise ConnectionFailed(f"{peer.host}:{peer.port} did not answer in {peer.connect_timeout:g} s") from None
    except ssl.SSLError as error:
        raise ConnectionFailed(f"{peer.host}:{peer.port}: {tls_words(error)}") from error
    except OSError as error:
        raise ConnectionFailed(f"{peer.host}:{peer.port}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    """The message of the operating system: asyncio says "Connect call failed" for every error."""
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error)
    return os.strerror(error.errno)


async def associate(
    peer: Peer,
    contexts: Sequence[tuple[str, Sequence[str]]],
    *,
    roles: Sequence[RoleSelection] = (),
    services: Sequence[Service] = (),
    window: int = 1,
    extended: Sequence[tuple[str, bytes]] = (),
) -> Association:
    """An association with `contexts` proposed as (abstract syntax, transfer syntaxes), at most 128.

    `services` perform the peer's requests (C-GET sub-operations). `extended` is application information by abstract
    syntax (PS3.7 D.3.3.5); the contexts contain the peer's answer to it. Raises a `PeerError`.
    """
    calling = _Calling(peer)
    await _open(peer, calling)
    request = AssociateRequest(
        called_ae_title=peer.called_ae_title,
        calling_ae_title=peer.calling_ae_title,
        max_pdu_length=peer.limits.max_pdu_length,
        implementation_class_uid=IMPLEMENTATION_CLASS_UID,
        implementation_version_name=IMPLEMENTATION_VERSION_NAME,
        async_window=(window, 1) if window > 1 else None,
        roles=tuple(roles),
        extended=tuple(extended),
        contexts=tuple(
            ProposedContext(2 * i + 1, abstract, tuple(syntaxes)) for i, (abstract, syntaxes) in enumerate(contexts)
        ),
    )
    calling.connection.send_preface(peer.preface)
    calling.connection.ul.request(request)
    calling.connection.flush()
    try:
        accept = await asyncio.wait_for(calling.answered, peer.associate_timeout)
    except TimeoutError:
        calling.connection.abort_transport()
        raise PeerTimeout(f"no answer to the association request in {peer.associate_timeout:g} s") from None
    except asyncio.CancelledError:
        calling.connection.abort_transport()  # the caller has a deadline of its own, and nobody else would close it
        raise
    association = _established(calling, request, accept, services)
    calling.established(association)
    return association


def _established(
    calling: _Calling, request: AssociateRequest, accept: AssociateAccept, services: Sequence[Service]
) -> ServingAssociation:
    accepted = accepted_by_peer(request, accept.results, accept.roles, accept.extended)
    by_syntax: Mapping[str, Service] = {syntax: service for service in services for syntax in service.abilities}
    # PS3.7 D.3.3.3: without an answer the operations are synchronous.
    window = accept.async_window[0] if accept.async_window is not None else 1
    proposed_window = request.async_window[0] if request.async_window is not None else 1
    return ServingAssociation(
        calling.connection,
        calling=request.calling_ae_title,
        called=request.called_ae_title,
        contexts=accepted,
        peer_max_pdu=accept.max_pdu_length,
        services=by_syntax,
        window=min(window or proposed_window, proposed_window),
        is_requestor=True,
    )


@asynccontextmanager
async def connect(
    peer: Peer,
    contexts: Sequence[tuple[str, Sequence[str]]],
    *,
    roles: Sequence[RoleSelection] = (),
    services: Sequence[Service] = (),
    window: int = 1,
    extended: Sequence[tuple[str, bytes]] = (),
) -> AsyncIterator[Association]:
    """`associate`, released at the end of the block, aborted if the block raises."""
    association = await associate(peer, contexts, roles=roles, services=services, window=window, extended=extended)
    try:
        yield association
    except BaseException:
        association.abort("an error on our side")
        raise
    await association.release()
