"""Certificates and a token for one archive of a test, made when it starts and gone with it."""

from __future__ import annotations

import secrets
import ssl
from dataclasses import dataclass
from pathlib import Path

from gantry.common.config.tls import usual


@dataclass(frozen=True)
class Security:
    """PEM files of an authority, of the archive, and of a client that the archive trusts; and a bearer token for
    HTTP."""

    authority: Path
    archive_certificate: Path
    archive_key: Path
    client_certificate: Path
    client_key: Path
    token: str
    tokens_file: Path

    def client_context(self) -> ssl.SSLContext:
        """For a client that shows its certificate and trusts the archive's."""
        context = usual(self.authority)
        context.load_cert_chain(self.client_certificate, self.client_key)
        return context

    @property
    def headers(self) -> dict[str, str]:
        """What a request over HTTP needs."""
        return {"Authorization": f"Bearer {self.token}"}


def make_security(folder: Path) -> Security:
    """Writes everything below a folder. Raises `ImportError` where trustme is not installed (the extra `testing`)."""
    import trustme

    authority = trustme.CA()
    archive, client = authority.issue_cert("localhost", "127.0.0.1", "::1"), authority.issue_cert("client.invalid")
    folder.mkdir(parents=True, exist_ok=True)
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    for name, certificate in (("archive", archive), ("client", client)):
        certificate.private_key_pem.write_to_path(str(folder / f"{name}.key"))
        chain = b"".join(pem.bytes() for pem in certificate.cert_chain_pems)
        (folder / f"{name}.pem").write_bytes(chain)
        (folder / f"{name}.key").chmod(0o600)
    token = secrets.token_urlsafe(24)
    tokens_file = folder / "tokens"
    tokens_file.write_text(f"test:{token}\n")
    tokens_file.chmod(0o600)
    return Security(
        folder / "authority.pem",
        folder / "archive.pem",
        folder / "archive.key",
        folder / "client.pem",
        folder / "client.key",
        token,
        tokens_file,
    )
