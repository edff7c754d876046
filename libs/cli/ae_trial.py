"""Tests a peer of the policy file in both directions, for `gantry ae test`."""

from __future__ import annotations

import asyncio
import socket

from gantry.cli.peers import in_words as failure_in_words
from gantry.common.config.policy import Admitted, Destination, KnownPeer, Policy, in_words
from gantry.common.config.settings import Settings
from gantry.common.config.tls import client_context
from gantry.common.dicom.standard.sop_classes import VERIFICATION
from gantry.common.dicom.standard.transfer_syntaxes import IMPLICIT_LITTLE_ENDIAN
from gantry.common.errors import ConfigError, GantryError
from gantry.common.net import Peer as NetPeer
from gantry.common.net import connect, scu
from gantry.common.statuses import status_words


def outwards(settings: Settings, contact: Destination | None, timeout: float) -> tuple[bool, str]:
    """Send C-ECHO on an association of its own. Raises `ConfigError` if our own certificates are unusable."""
    if contact is None:
        return False, "not called: the policy has no host and port for it"
    try:
        context = client_context(settings.tls) if contact.tls else None
        status = asyncio.run(_echo(settings.dimse.ae_title, contact, context, timeout))
    except ConfigError:
        raise
    except GantryError as error:
        return False, failure_in_words(error)
    return status == 0, f"C-ECHO at {contact.host}:{contact.port}: {status_words(status)}"


async def _echo(ours: str, contact: Destination, tls: object, timeout: float) -> int:
    peer = NetPeer(contact.host, contact.port, contact.ae_title, ours, tls=tls, connect_timeout=timeout)  # type: ignore[arg-type]
    async with connect(peer, [(VERIFICATION, [IMPLICIT_LITTLE_ENDIAN])]) as association:
        return await scu.echo(association, timeout=timeout)


def inwards(policy: Policy, peer: KnownPeer) -> tuple[bool, str]:
    """The decision of the policy if the peer called from its host, or from the first range given."""
    addresses = _addresses(peer)
    if not addresses:
        return False, f"would be rejected: the name {peer.host} has no address"
    certificate = next(iter(peer.certificate), "")
    verdicts = {
        address: policy.admit(peer.ae_title, policy.ae_title, address, peer.tls, certificate) for address in addresses
    }
    admitted = [address for address, verdict in verdicts.items() if isinstance(verdict, Admitted)]
    rejected = [
        f"rejected when it calls from {address} ({verdict.result}/{verdict.source}/{verdict.reason}: {verdict.words})"
        for address, verdict in verdicts.items()
        if not isinstance(verdict, Admitted)
    ]
    if not admitted:
        return False, f"would be {'; '.join(rejected)}"
    also = f"; but {'; '.join(rejected)}" if rejected else ""
    return True, f"would be admitted from {', '.join(admitted)}; may {in_words(peer.may)}{also}"


def _addresses(peer: KnownPeer) -> list[str]:
    if peer.host is None:
        return [str(peer.addresses[0].network_address)]
    try:
        entries = socket.getaddrinfo(peer.host, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(entry[4][0]) for entry in entries})
