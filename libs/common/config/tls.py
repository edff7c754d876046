"""TLS contexts from settings: PS3.15 B.9 (BCP 195): TLS 1.2 and 1.3 only, both sides authenticated by default."""

from __future__ import annotations

import ssl
from pathlib import Path

from libs.common.config.settings import Tls
from libs.common.errors import ConfigError


def server_context(tls: Tls) -> ssl.SSLContext | None:
    """The context of our own port; None where no certificate is set. Raises `ConfigError`."""
    if tls.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, tls)
    if tls.ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED if tls.require_client_certificate else ssl.CERT_OPTIONAL
    return context


def client_context(tls: Tls) -> ssl.SSLContext:
    """The context with which we call peers: their certificate must be signed by `ca`, or by a root of this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.ca is None:
        context.load_default_certs()
    _load(context, tls)
    return context


def trusting(ca: Path | None) -> ssl.SSLContext:
    """The context with which we call a store or a broker: signed by `ca`, or by a root of this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        context.load_default_certs()
    _load(context, Tls.model_construct(certificate=None, key=None, ca=ca))
    return context


def _load(context: ssl.SSLContext, tls: Tls) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
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
