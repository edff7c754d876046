"""TLS contexts from settings, after the BCP 195 RFC 8996, 9325 profile (PS3.15 B.12): TLS 1.3 preferred, of 1.2 the
suites with forward secrecy and authenticated encryption, nothing below; both sides authenticated by default."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from gantry.common.clock import Clock
from gantry.common.config.network_sections import Tls
from gantry.common.config.shown_certificates import watch
from gantry.common.config.watched import WatchedFiles
from gantry.common.errors import ConfigError
from gantry.common.telemetry.logs import get_logger

_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2, as OpenSSL writes them (RFC 9325 4.2); those of 1.3 are all of this kind."""


def server_context(tls: Tls) -> ssl.SSLContext | None:
    """The context of our own port; None if no certificate is set. Raises `ConfigError`."""
    if tls.certificate is None:
        return None
    context = _server_context(tls)
    if tls.ca is not None:
        watch(context, _server_context(tls))
    return context


def _server_context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, tls)
    if tls.ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED if tls.require_client_certificate else ssl.CERT_OPTIONAL
    return context


def web_context(tls: Tls) -> ssl.SSLContext | None:
    """The context of our HTTPS port, which requests no client certificates; None if our certificate is not set. Raises
    `ConfigError`."""
    if tls.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, tls)
    context.set_alpn_protocols(["http/1.1"])
    return context


def client_context(tls: Tls) -> ssl.SSLContext:
    """The context with which we call peers: their certificate must be signed by `ca`, or by a root of this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.ca is None:
        context.load_default_certs()
    _load(context, tls)
    return context


class Certificates:
    """Contexts that follow their files: a renewed certificate applies to the next connection. An unusable one is
    refused, and the old one stays."""

    def __init__(self, tls: Tls, on_outcome: Callable[[str], None] = lambda _: None) -> None:
        """Raises `ConfigError`. `on_outcome` is called with "taken" or "refused" at every change, for the metrics."""
        self._tls = tls
        self._on_outcome = on_outcome
        self._files = WatchedFiles([tls.certificate, tls.key, tls.ca])
        self._logger = get_logger("tls")
        self._server: ssl.SSLContext | None = None
        self._client: ssl.SSLContext | None = None
        self._web: ssl.SSLContext | None = None
        self._read()

    @property
    def speaks_tls(self) -> bool:
        """Whether we have a certificate for peers that call us."""
        return self._server is not None

    def server(self) -> ssl.SSLContext:
        """The current context for peers that call us."""
        assert self._server is not None
        return self._server

    def web(self) -> ssl.SSLContext:
        """The current context for our HTTPS port."""
        assert self._web is not None
        return self._web

    def client(self) -> ssl.SSLContext:
        """The current context for peers that we call. Raises `ConfigError` if it cannot be created."""
        if self._client is None:  # reading this machine's roots takes a while, and they are rarely needed
            self._client = client_context(self._tls)
        return self._client

    def _read(self) -> None:
        tls = self._tls
        client = client_context(tls) if tls.ca is not None or tls.certificate is not None else None
        self._server, self._web, self._client = server_context(tls), web_context(tls), client

    def look(self) -> None:
        """Read the files again if one of them has changed."""
        if not self._files.have_changed():
            return
        try:
            self._read()
        except ConfigError as error:
            self._logger.error(
                "new certificates refused; the old ones stay in use", file=error.file, reason=error.reason
            )
            self._on_outcome("refused")
            return
        self._logger.info("certificates taken", file=str(self._tls.certificate or self._tls.ca))
        self._on_outcome("taken")

    async def watch(self, clock: Clock) -> None:
        """`look` every few seconds, for ever."""
        await self._files.watch(clock, self.look)


def expiry_of(certificate: Path) -> float | None:
    """When the first certificate of a PEM file expires, in seconds since the Unix epoch; None if it cannot be read."""
    try:
        # Undocumented, but the standard library's only way to read a certificate that is not a peer's.
        decoded = ssl._ssl._test_decode_cert(str(certificate))  # type: ignore[attr-defined]
        return float(ssl.cert_time_to_seconds(decoded["notAfter"]))
    except (AttributeError, KeyError, OSError, ValueError):
        return None


def trusting(ca: Path | None) -> ssl.SSLContext:
    """The context with which we call a store or a broker: signed by `ca`, or by a root of this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        context.load_default_certs()
    _load(context, Tls.model_construct(certificate=None, key=None, ca=ca))
    return context


def usual(ca: Path | str | None) -> ssl.SSLContext:
    """The context for commands that call any server: Python's default, made the same on all its versions. Since 3.13
    the default refuses certificates of an authority without Key Usage (RFC 5280), which OpenSSL's own commands have
    created, and accepts an intermediate authority as a root. Raises `OSError` if `ca` cannot be read."""
    context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    context.verify_flags &= ~(ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN)
    return context


def _load(context: ssl.SSLContext, tls: Tls) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_SUITES)
    # RFC 9325 3.5: renegotiation of TLS 1.2 is of no use here, and lets a peer make us work.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    for file in (tls.certificate, tls.key, tls.ca):
        if file is not None and not file.is_file():
            raise ConfigError(str(file), None, "no such file")
    try:
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(str(tls.certificate), None, "certificate and key cannot be used together") from error
    try:
        if tls.ca is not None:
            context.load_verify_locations(tls.ca)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(str(tls.ca), None, "not a file of PEM certificates") from error
