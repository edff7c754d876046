"""The certificate that a peer shows in a TLS handshake that fails, because the certificate was refused.

OpenSSL returns a certificate only after it has verified it, never one that it refused. Before that, Python's ssl calls
a message callback (`SSLContext._msg_callback`, since 3.8, for its own tests) with each decrypted message of the
handshake. The callback is also called for each record, so a connection drops it at the end of its handshake.
"""

from __future__ import annotations

import ssl
from typing import Any

from cryptography import x509

_CERTIFICATE = 11
"""RFC 5246 7.4, RFC 8446 4: type of the handshake message."""
_HANDSHAKE = 22
_TLS_1_3 = 0x0304
_LONGEST_CERTIFICATE, _LONGEST_TEXT, _LONGEST = 1 << 14, 200, 600
_SHOWN = "shown_certificate"
_NO_RX_CERTIFICATE_COMPRESSION = 1 << 33
"""SSL_OP_NO_RX_CERTIFICATE_COMPRESSION, for which Python's ssl has no name."""


def certificate_in(error: BaseException) -> str:
    """Subject, issuer, serial number and last day of the certificate that the peer showed in a failed handshake of a
    watched context, as printable text of bounded length; "" if the peer showed none."""
    shown = getattr(error, _SHOWN, None)
    return described(*shown) if shown is not None else ""


def described(message: bytes, is_tls_1_3: bool) -> str:
    """The same for a Certificate message (RFC 5246 7.4.2, RFC 8446 4.4.2) with its header; accepts any bytes."""
    at = 4 + (1 + message[4] if is_tls_1_3 and len(message) > 4 else 0)  # certificate_request_context
    length = int.from_bytes(message[at + 3 : at + 6], "big")
    der = message[at + 6 : at + 6 + length]
    if not der:
        return ""
    if length > _LONGEST_CERTIFICATE or len(der) < length:
        return "a certificate that is too long, or cut off"
    try:
        certificate = x509.load_der_x509_certificate(der)
        subject, issuer = certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()
        serial, until = certificate.serial_number, certificate.not_valid_after_utc
    except Exception:  # what a stranger sent, in a parser that documents no errors
        return "a certificate that cannot be read"
    return f"{_printable(subject)}, serial {serial:x}, of {_printable(issuer)}, until {until:%Y-%m-%d}"[:_LONGEST]


def watch(context: ssl.SSLContext, quiet: ssl.SSLContext) -> None:
    """From now on `certificate_in` finds the peer's certificate in handshake errors of `context`. `quiet` is a context
    with the same settings, which a connection uses after its handshake."""

    class WatchedObject(ssl.SSLObject):
        def do_handshake(self) -> None:
            _watched(self, super().do_handshake, quiet)

    class WatchedSocket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            _watched(self, lambda: super(WatchedSocket, self).do_handshake(block), quiet)

    # RFC 8879: since 3.2 OpenSSL lets a peer send its certificate compressed, which we would have to unpack.
    if ssl.OPENSSL_VERSION_INFO >= (3, 2):
        context.options |= _NO_RX_CERTIFICATE_COMPRESSION
    context.sslobject_class, context.sslsocket_class = WatchedObject, WatchedSocket
    context._msg_callback = _message  # type: ignore[attr-defined]


def _message(connection: Any, direction: str, version: int, content: int, kind: int, data: bytes) -> None:
    if direction == "read" and content == _HANDSHAKE and kind == _CERTIFICATE:
        setattr(connection, _SHOWN, (bytes(data[: _LONGEST_CERTIFICATE + 300]), version == _TLS_1_3))


def _watched(connection: Any, do_handshake: Any, quiet: ssl.SSLContext) -> None:
    try:
        do_handshake()
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        raise
    except ssl.SSLError as error:
        setattr(error, _SHOWN, getattr(connection, _SHOWN, None))
        raise
    setattr(connection, _SHOWN, None)
    connection.context = quiet


def _printable(text: str) -> str:
    clipped = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
    return "".join(c if c.isprintable() else "?" for c in clipped)
