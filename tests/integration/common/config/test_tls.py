"""TLS contexts: handshakes in memory, and what is wrong with the files in words."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gantry.common.config.network_sections import Tls
from gantry.common.config.shown_certificates import certificate_in
from gantry.common.config.tls import client_context, server_context, usual
from gantry.common.errors import ConfigError
from tests.support.certificates import Authority, Pair, settings


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"), "ours")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Pair:
    return authority.sign("archive")


@pytest.fixture(scope="module")
def theirs(authority: Authority) -> Pair:
    return authority.sign("modality")


def server(tls: Tls) -> ssl.SSLContext:
    context = server_context(tls)
    assert context is not None
    return context


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, host: str = "127.0.0.1") -> str | None:
    """A handshake and a byte each way (with TLS 1.3 a refusal comes after the client's handshake); the version."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server, server_hostname=host)
    steps = [theirs.do_handshake, ours.do_handshake, lambda: theirs.write(b"?"), lambda: ours.read(1)]
    steps += [lambda: ours.write(b"!"), lambda: theirs.read(1)]
    waiting: list[object] = list(steps)
    for _ in range(20):
        left = []
        for step in waiting:
            try:
                step()  # type: ignore[operator]
            except ssl.SSLWantReadError:
                left.append(step)
        waiting = left
        if not waiting:
            return theirs.version()
    raise AssertionError("the handshake does not end")


def in_memory(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both sides after their handshakes, as an event loop does them."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    side = server.wrap_bio(to_server, to_client, server_side=True)
    peer = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    for step in (peer.do_handshake, side.do_handshake) * 3:
        with suppress(ssl.SSLWantReadError):
            step()
    return side, peer


def test_tls_is_off_without_a_certificate() -> None:
    assert server_context(Tls()) is None


def test_both_sides_show_certificates(authority: Authority, ours: Pair, theirs: Pair) -> None:
    version = shake_hands(server(settings(ours, authority.ca)), client_context(settings(theirs, authority.ca)))
    assert version == "TLSv1.3"


def test_a_client_without_a_certificate_is_refused(authority: Authority, ours: Pair) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate"):
        shake_hands(server(settings(ours, authority.ca)), client_context(settings(None, authority.ca)))


def test_a_client_whose_certificate_someone_else_signed_is_refused(
    authority: Authority, stranger: Authority, ours: Pair
) -> None:
    client = client_context(settings(stranger.sign("modality"), authority.ca))
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate"):
        shake_hands(server(settings(ours, authority.ca)), client)
    # Where it is not required, one that is shown has to be good all the same.
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate"):
        shake_hands(server(settings(ours, authority.ca, required=False)), client)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_what_a_client_showed_that_is_not_believed_is_known(
    authority: Authority, stranger: Authority, ours: Pair, version: ssl.TLSVersion
) -> None:
    client = client_context(settings(stranger.sign("CT7"), authority.ca))
    client.minimum_version = client.maximum_version = version
    with pytest.raises(ssl.SSLCertVerificationError) as refused:
        in_memory(server(settings(ours, authority.ca)), client)
    assert certificate_in(refused.value).startswith("CN=CT7, serial ")
    assert ", of CN=stranger, until 20" in certificate_in(refused.value)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_after_a_handshake_nobody_looks_at_records(
    authority: Authority, ours: Pair, theirs: Pair, version: ssl.TLSVersion
) -> None:
    context, client = server(settings(ours, authority.ca)), client_context(settings(theirs, authority.ca))
    client.minimum_version = client.maximum_version = version
    seen: list[int] = []
    callback = context._msg_callback  # type: ignore[attr-defined]
    assert callback is not None

    def counted(*about: object) -> None:
        seen.append(1)
        callback(*about)

    context._msg_callback = counted  # type: ignore[attr-defined]
    side, peer = in_memory(context, client)
    at_first = len(seen)
    assert at_first
    for _ in range(100):
        peer.write(b"?" * 16_000)
        assert side.read(16_000) == b"?" * 16_000
        side.write(b"!" * 16_000)
        assert peer.read(16_000) == b"!" * 16_000
    assert len(seen) == at_first
    assert side.getpeercert()  # whose it is, is known as before


def test_a_client_needs_no_certificate_where_none_is_required(authority: Authority, ours: Pair) -> None:
    client = client_context(settings(None, authority.ca))
    assert shake_hands(server(settings(ours, authority.ca, required=False)), client)
    assert shake_hands(server(settings(ours, required=False)), client)


def test_we_refuse_a_server_that_we_cannot_believe(authority: Authority, stranger: Authority, ours: Pair) -> None:
    client = client_context(settings(None, authority.ca))
    with pytest.raises(ssl.SSLCertVerificationError, match=r"(?i)verify failed"):
        shake_hands(server(settings(stranger.sign("archive"), required=False)), client)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"(?i)mismatch"):
        shake_hands(server(settings(ours, required=False)), client, host="elsewhere.example")
    # Without `ca`, only the roots of this machine are trusted.
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server(settings(ours, required=False)), client_context(Tls()))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_versions_that_bcp_195_forbids_are_refused(authority: Authority, ours: Pair, version: ssl.TLSVersion) -> None:
    client = client_context(settings(None, authority.ca))
    client.minimum_version = client.maximum_version = version
    client.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        shake_hands(server(settings(ours, required=False)), client)


def test_tls_1_2_is_taken(authority: Authority, ours: Pair) -> None:
    client = client_context(settings(None, authority.ca))
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    assert shake_hands(server(settings(ours, required=False)), client) == "TLSv1.2"


def test_what_is_wrong_with_a_file_is_said_with_its_name(
    authority: Authority, ours: Pair, theirs: Pair, tmp_path: Path
) -> None:
    nowhere, junk = tmp_path / "nowhere.pem", tmp_path / "junk.pem"
    junk.write_text("no certificate")
    for tls, file, words in (
        (settings(Pair(nowhere, ours.key), authority.ca), nowhere, "no such file"),
        (settings(Pair(ours.certificate, nowhere), authority.ca), nowhere, "no such file"),
        (settings(ours, nowhere), nowhere, "no such file"),
        (settings(ours, junk), junk, "not a file of PEM certificates"),
        (settings(Pair(junk, ours.key), authority.ca), junk, "cannot be used together"),
        (settings(Pair(ours.certificate, theirs.key), authority.ca), ours.certificate, "cannot be used together"),
    ):
        with pytest.raises(ConfigError, match=words) as caught:
            server_context(tls)
        assert caught.value.file == str(file)


def test_half_a_pair_and_mutual_tls_without_authority_are_refused(ours: Pair) -> None:
    with pytest.raises(ValidationError, match="needed together"):
        Tls(certificate=ours.certificate)
    with pytest.raises(ValidationError, match="needs `ca`"):
        Tls(certificate=ours.certificate, key=ours.key)


def test_authorities_that_do_not_say_what_their_key_is_for_are_believed_on_every_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = ssl.create_default_context

    def as_since_3_13(**options: Any) -> ssl.SSLContext:
        context = made(**options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    monkeypatch.setattr(ssl, "create_default_context", as_since_3_13)
    context = usual(None)
    assert not context.verify_flags & (ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
