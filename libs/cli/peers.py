"""The arguments and options that all verbs share (the peer, our own title, TLS), and failures as messages."""

from __future__ import annotations

import re
import ssl
import sys
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import click
import uvloop

from gantry.common.config.tls import usual
from gantry.common.errors import (
    AssociationAborted,
    AssociationRejected,
    ConnectionFailed,
    ContextNotAccepted,
    GantryError,
    PeerTimeout,
)
from gantry.common.ids import is_ae_title
from gantry.common.net import Peer

EXIT_FAILED = 1
"""Some of the requested operations failed."""
EXIT_NO_ASSOCIATION = 3
"""There was no association."""

_PEER = re.compile(r"(?P<title>[^@]+)@(?P<host>\[[^\]]+\]|[^:]+)(?::(?P<port>\d+))?")
_DICOM_PORT = 11112

_ADVICE: dict[tuple[int, int], str] = {
    (1, 3): "The archive does not know your AE title: name another one with --aet, or have it added there.",
    (1, 7): "The archive has another AE title: check the part before the @; upper and lower case differ.",
    (3, 2): "The archive is at its limit of associations: try again in a moment.",
    (3, 1): "The archive is busy or shutting down: try again in a moment.",
    (1, 1): "The archive gives no reason; see its log. Often the calling AE title or address is not allowed.",
}


_HINTS = {
    "PDU type 0x48": "This port speaks HTTP, not DICOM: Gantry's DICOM port is 11112 where nothing else is configured.",
    "PDU type 0x15": "This port speaks TLS: add --tls, and --tls-ca with the authority of its certificate.",
    "PDU type 0x53": "This port speaks SSH, not DICOM.",
    "certificate required": "The archive needs a certificate from us: give --tls-cert and --tls-key.",
    "handshake failure": "The archive refused our TLS handshake; it may need --tls-cert and --tls-key.",
    "unknown ca": "The peer does not trust the certificate: its authority must be in the peer's list.",
    "wrong version number": "This port does not speak TLS: leave --tls out.",
    "self-signed certificate": "Name who signed the archive's certificate with --tls-ca.",
    "unable to get local issuer": "Name who signed the archive's certificate with --tls-ca.",
    "speaks plain": "This port does not speak TLS: leave --tls out.",
}
"""By a part of an error's text: what it means, and what to do."""


class PeerType(click.ParamType[tuple[str, str, int]]):
    """`AETITLE@host:port`; the port is 11112 if left out."""

    name = "AETITLE@HOST[:PORT]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str, int]:
        if isinstance(value, tuple):
            return value
        match = _PEER.fullmatch(value)
        if match is None:
            self.fail(f"{value!r} is not of the form AETITLE@host:port, for example GANTRY@127.0.0.1:11112", param, ctx)
        title, host, port = match["title"], match["host"].strip("[]"), int(match["port"] or _DICOM_PORT)
        if not is_ae_title(title):
            self.fail(f"{title!r} is not an AE title (1 to 16 characters)", param, ctx)
        if not 0 < port < 65536:
            self.fail(f"{port} is not a port", param, ctx)
        return title, host, port


def _tls_context(tls: bool, ca: str | None, cert: str | None, key: str | None, insecure: bool) -> ssl.SSLContext | None:
    if not (tls or ca or cert or insecure):
        return None
    context = usual(ca)
    if cert:
        context.load_cert_chain(cert, key)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


_FILE = click.Path(exists=True, dir_okay=False)
_OPTIONS = (
    click.argument("peer", type=PeerType()),
    click.option("--aet", default="GANTRY_SCU", show_default=True, help="Our own AE title."),
    click.option("--timeout", default=60.0, show_default=True, help="Seconds to wait for each response."),
    click.option("--tls", is_flag=True, help="Use TLS; the peer's certificate must be valid for its host name."),
    click.option("--tls-ca", "ca", type=_FILE, help="Trust these certificates (PEM)."),
    click.option("--tls-cert", "cert", type=_FILE, help="Our certificate (PEM)."),
    click.option("--tls-key", "tls_key", type=_FILE, help="Its private key (PEM)."),
    click.option("--tls-insecure", "insecure", is_flag=True, help="Use TLS and do not check the peer's certificate."),
)


Verb = Callable[..., Coroutine[Any, Any, int]]


def calls_a_peer(verb: Verb) -> Callable[..., None]:
    """A click command of an async function `(peer, timeout=…, **own options) -> exit code`."""

    @wraps(verb)
    def command(
        peer: tuple[str, str, int],
        aet: str,
        timeout: float,
        tls: bool,
        ca: str | None,
        cert: str | None,
        tls_key: str | None,
        insecure: bool,
        **own: Any,
    ) -> None:
        if not is_ae_title(aet):
            raise click.BadParameter(f"{aet!r} is not an AE title (1 to 16 characters)", param_hint="--aet")
        try:
            context = _tls_context(tls, ca, cert, tls_key, insecure)
        except (ssl.SSLError, OSError) as error:
            raise click.UsageError(f"TLS: {error}") from error
        title, host, port = peer
        target = Peer(host, port, title, aet, tls=context, associate_timeout=timeout)
        try:
            code: int = uvloop.run(verb(target, timeout=timeout, **own))
        except KeyboardInterrupt:
            code = 130
        except GantryError as error:
            code = EXIT_NO_ASSOCIATION
            hung_up = _hung_up(context is not None, cert is not None)
            click.echo(f"gantry: {in_words(error, hung_up)}", err=True)
        sys.exit(code)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _hung_up(tls: bool, cert: bool) -> str:
    """A hint for a peer that closed the connection instead of answering."""
    if not tls:
        return "The peer closed the connection: if this port speaks TLS, add --tls."
    if not cert:
        return "The peer closed the connection after the TLS handshake: perhaps give --tls-cert and --tls-key."
    return "The peer closed the connection after the TLS handshake: does it trust our certificate?"


def in_words(error: GantryError, hung_up: str = "") -> str:
    """The error, and what to do about it; `hung_up` is the hint if the peer closed the connection."""
    if isinstance(error, AssociationRejected):
        advice = _ADVICE.get((error.source, error.reason), "")
        return f"{error}. {advice}".rstrip()
    hint = next((words for sign, words in _HINTS.items() if sign in str(error)), "")
    if not hint and "during association" in str(error):
        hint = hung_up
    if isinstance(error, ConnectionFailed):
        return f"no connection: {error}. {hint or 'Is the host right, is the port open, does a firewall block it?'}"
    if isinstance(error, ContextNotAccepted):
        return f"{error}. The archive does not offer this service to us."
    if isinstance(error, PeerTimeout):
        return f"{error}. --timeout waits longer."
    if isinstance(error, AssociationAborted):
        return f"the association broke: {error}. {hint}".rstrip(". ") if not hint else f"{hint} ({error})"
    return str(error)
