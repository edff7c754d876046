"""`gantry ae list|add|remove|test`: the peers that may call the archive, and those that it calls."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

import click

from gantry.cli.output import json_option, print_json, print_table
from gantry.cli.peers import EXIT_FAILED
from gantry.cli.peers import in_words as failure_in_words
from gantry.common.config.document import read
from gantry.common.config.load import load_settings
from gantry.common.config.peers_file import add_peer, remove_peer
from gantry.common.config.policy import Admitted, Destination, KnownPeer, Permission, Policy, in_words, policy_of
from gantry.common.config.settings import Settings
from gantry.common.config.tls import client_context
from gantry.common.dicom.standard.sop_classes import VERIFICATION
from gantry.common.dicom.standard.transfer_syntaxes import IMPLICIT_LITTLE_ENDIAN
from gantry.common.errors import ConfigError, GantryError
from gantry.common.net import Peer as NetPeer
from gantry.common.net import connect, scu
from gantry.common.statuses import status_words

_PERMISSIONS = click.Choice([permission.value for permission in Permission])


@click.group()
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=lambda: os.environ.get("GANTRY_CONFIG", "gantry.yaml"),
    show_default="$GANTRY_CONFIG or gantry.yaml",
    help="The settings file; its `peers:`, or the file named by its `peers_file`, is the policy.",
)
@click.pass_context
def ae(context: click.Context, config: Path) -> None:
    """Known AE titles: who may store, find, retrieve and commit, and where C-MOVE may send."""
    with _refusals():
        settings = load_settings(config if config.exists() else None, os.environ)
    file = settings.peers_file or config
    if settings.peers_file is not None and not file.is_absolute():
        file = config.parent / file
    context.obj = settings, file


@ae.command("list")
@json_option
@click.pass_obj
def list_peers(given: tuple[Settings, Path], as_json: bool) -> None:
    """Show the peers of the policy file."""
    peers = list(_policy(given).peers.values())
    if as_json:
        for peer in peers:
            print_json(peer.model_dump(mode="json", by_alias=True))
        return
    columns = ["AE title", "host", "port", "calls from", "may", "C-MOVE to", "TLS"]
    print_table(columns, [_row(peer) for peer in peers])


def _row(peer: KnownPeer) -> list[str]:
    return [
        peer.ae_title,
        peer.host or "",
        str(peer.port or ""),
        ", ".join(str(network) for network in peer.addresses) or (peer.host or ""),
        in_words(peer.may),
        "yes" if peer.move_destination else "no",
        "yes" if peer.tls else "no",
    ]


@ae.command("add")
@click.argument("ae_title")
@click.option("--host", help="Where we call it; an address may also call from there.")
@click.option("--port", type=click.IntRange(1, 65535), help="The port it listens on.")
@click.option("--from", "sources", multiple=True, metavar="CIDR", help="An address or range that it calls from.")
@click.option("--may", "may", multiple=True, type=_PERMISSIONS, help="What it may ask of us; default: echo.")
@click.option("--move-destination", is_flag=True, help="C-MOVE may send objects there.")
@click.option("--tls", is_flag=True, help="Only over TLS, in both directions.")
@click.option(
    "--certificate", multiple=True, metavar="NAME", help="It calls with a certificate of this name; needs --tls."
)
@click.option("--max-associations", type=click.IntRange(1), help="At once; default 50.")
@click.option("--max-operations-per-second", type=float, help="Beyond it we read it more slowly.")
@click.option("--max-bytes-per-second", type=float, help="That it sends; beyond it we read it more slowly.")
@click.pass_obj
def add(
    given: tuple[Settings, Path],
    ae_title: str,
    host: str | None,
    port: int | None,
    sources: tuple[str, ...],
    may: tuple[str, ...],
    move_destination: bool,
    tls: bool,
    certificate: tuple[str, ...],
    max_associations: int | None,
    max_operations_per_second: float | None,
    max_bytes_per_second: float | None,
) -> None:
    """Add a peer. A running archive takes the change within seconds."""
    entry = {
        "ae_title": ae_title,
        "host": host,
        "port": port,
        "from": list(sources) or None,
        "may": list(may) or [Permission.ECHO.value],
        "move_destination": move_destination or None,
        "tls": tls or None,
        "certificate": list(certificate) or None,
        "max_associations": max_associations,
        "max_operations_per_second": max_operations_per_second,
        "max_bytes_per_second": max_bytes_per_second,
    }
    with _refusals():
        add_peer(given[1], {name: value for name, value in entry.items() if value is not None})
    click.echo(f"{ae_title} added to {given[1]}; `gantry ae test {ae_title}` tries it")


@ae.command("remove")
@click.argument("ae_title")
@click.pass_obj
def remove(given: tuple[Settings, Path], ae_title: str) -> None:
    """Remove a peer. Its open associations end by themselves; new ones are rejected."""
    with _refusals():
        remove_peer(given[1], ae_title)
    click.echo(f"{ae_title} removed from {given[1]}")


@ae.command("test")
@click.argument("ae_title")
@click.option("--timeout", default=10.0, show_default=True, help="Seconds to wait for each answer.")
@click.pass_obj
def test(given: tuple[Settings, Path], ae_title: str, timeout: float) -> None:
    """Try a peer both ways: associate with it and C-ECHO, and say whether it would be admitted here."""
    settings, _ = given
    policy = _policy(given)
    peer = policy.peers.get(ae_title)
    if peer is None:
        click.echo(f"gantry: no peer has the AE title {ae_title}; `gantry ae add {ae_title} …` adds it", err=True)
        sys.exit(EXIT_FAILED)
    out, out_words = _outwards(settings, policy.contact(ae_title), timeout)
    back, back_words = _inwards(policy, peer)
    click.echo(f"{'ok' if out else 'FAILED':<7} {settings.dimse.ae_title} → {ae_title}: {out_words}")
    click.echo(f"{'ok' if back else 'FAILED':<7} {ae_title} → {settings.dimse.ae_title}: {back_words}")
    sys.exit(0 if out and back else EXIT_FAILED)


def _outwards(settings: Settings, contact: Destination | None, timeout: float) -> tuple[bool, str]:
    """An association with C-ECHO."""
    if contact is None:
        return False, "not called: the policy names no host and port for it"
    try:
        with _refusals():
            context = client_context(settings.tls) if contact.tls else None
        status = asyncio.run(_echo(settings.dimse.ae_title, contact, context, timeout))
    except GantryError as error:
        return False, failure_in_words(error)
    return status == 0, f"C-ECHO at {contact.host}:{contact.port}: {status_words(status)}"


async def _echo(ours: str, contact: Destination, tls: object, timeout: float) -> int:
    peer = NetPeer(contact.host, contact.port, contact.ae_title, ours, tls=tls, connect_timeout=timeout)  # type: ignore[arg-type]
    async with connect(peer, [(VERIFICATION, [IMPLICIT_LITTLE_ENDIAN])]) as association:
        return await scu.echo(association, timeout=timeout)


def _inwards(policy: Policy, peer: KnownPeer) -> tuple[bool, str]:
    """What the policy would decide if the peer called from its host, or from the first range given."""
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
        found = socket.getaddrinfo(peer.host, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(entry[4][0]) for entry in found})


def _policy(given: tuple[Settings, Path]) -> Policy:
    settings, file = given
    with _refusals():
        return policy_of(read(file), settings.dimse.ae_title, settings.lab)


class _refusals:
    """Ends the command with a message about the error in a file."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ConfigError):
            click.echo(f"gantry: {error}", err=True)
            sys.exit(2)
