"""The description of a refused certificate, for any bytes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.config.shown_certificates import certificate_in, described

KEY = ec.generate_private_key(ec.SECP256R1())


def der(name: str = "CT 7", extra: str = "") -> bytes:
    """A certificate, signed by itself."""
    subject = [x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]
    subject += [x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, extra)] if extra else []
    builder = x509.CertificateBuilder(
        issuer_name=x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Vendor")]),
        subject_name=x509.Name(subject),
        public_key=KEY.public_key(),
        serial_number=0xBEEF,
        not_valid_before=datetime(2024, 1, 1, tzinfo=UTC),
        not_valid_after=datetime(2025, 12, 31, tzinfo=UTC),
    )
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def message(certificate: bytes, *, is_tls_1_3: bool, context: bytes = b"") -> bytes:
    """A Certificate message (RFC 5246 7.4.2, RFC 8446 4.4.2)."""
    entry = len(certificate).to_bytes(3, "big") + certificate if certificate else b""
    entry += b"\0\0" if is_tls_1_3 and certificate else b""
    body = len(entry).to_bytes(3, "big") + entry
    body = bytes([len(context)]) + context + body if is_tls_1_3 else body
    return b"\x0b" + len(body).to_bytes(3, "big") + body


@pytest.mark.parametrize(("is_tls_1_3", "context"), [(False, b""), (True, b""), (True, b"context")])
def test_whose_it_is_who_signed_it_and_until_when(is_tls_1_3: bool, context: bytes) -> None:
    shown = described(message(der(), is_tls_1_3=is_tls_1_3, context=context), is_tls_1_3)
    assert shown == "CN=CT 7, serial beef, of CN=Vendor, until 2025-12-31"
    assert described(message(b"", is_tls_1_3=is_tls_1_3, context=context), is_tls_1_3) == ""


def test_what_a_stranger_writes_into_a_name_is_one_line_of_bounded_length() -> None:
    shown = described(message(der("CT\n7\x1b[2J", "U" * 64), is_tls_1_3=True), True)
    assert shown.startswith("OU=" + "U" * 64 + ",CN=CT?7?[2J, serial")
    names = [x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "U" * 64) for _ in range(100)]
    builder = x509.CertificateBuilder().subject_name(x509.Name(names)).issuer_name(x509.Name(names))
    long = builder.public_key(KEY.public_key()).serial_number(1)
    long = long.not_valid_before(datetime(2024, 1, 1, tzinfo=UTC)).not_valid_after(datetime(2025, 1, 1, tzinfo=UTC))
    encoded = long.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    assert len(described(message(encoded, is_tls_1_3=True), True)) <= 600


def test_what_is_no_certificate_is_said_to_be_none() -> None:
    assert described(message(b"0" * 300, is_tls_1_3=True), True) == "a certificate that cannot be read"
    assert described(message(der(), is_tls_1_3=True)[:200], True) == "a certificate that is too long, or cut off"
    assert described(message(b"0" * 20_000, is_tls_1_3=False), False) == "a certificate that is too long, or cut off"


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_taken(data: bytes, is_tls_1_3: bool) -> None:
    assert described(data, is_tls_1_3).isprintable()


def test_an_error_of_something_else_shows_none() -> None:
    assert certificate_in(OSError("no")) == ""
