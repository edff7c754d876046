"""Certificates for a test, made with the `openssl` command."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from gantry.common.config.network_sections import Tls

_EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, PEM files."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority."""

    def __init__(self, folder: Path, name: str) -> None:
        """Skips the test if `openssl` is not installed."""
        if shutil.which("openssl") is None:
            pytest.skip("the openssl command is not installed, which makes the certificates of this test")
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
        _openssl(
            "req", "-x509", *_EC, "-days", "2", "-subj", f"/CN={name}",
            "-keyout", str(self.pair.key), "-out", str(self.pair.certificate),
        )  # fmt: skip

    @property
    def ca(self) -> Path:
        return self.pair.certificate

    def sign(self, name: str, days: int = 2, hosts: Sequence[str] = ()) -> Pair:
        """A certificate for this machine, and for more hosts."""
        pair = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        names = ["DNS:localhost", "IP:127.0.0.1", *(f"DNS:{host}" for host in hosts)]
        extensions.write_text(f"subjectAltName={','.join(names)}\n")
        _openssl("req", "-new", *_EC, "-subj", f"/CN={name}", "-keyout", str(pair.key), "-out", str(request))
        _openssl(
            "x509", "-req", "-in", str(request), "-CA", str(self.ca), "-CAkey", str(self.pair.key), "-CAcreateserial",
            "-days", str(days), "-extfile", str(extensions), "-out", str(pair.certificate),
        )  # fmt: skip
        return pair


def settings(pair: Pair | None, ca: Path | None = None, *, required: bool = True) -> Tls:
    """The `tls` section."""
    return Tls(
        certificate=pair.certificate if pair else None,
        key=pair.key if pair else None,
        ca=ca,
        require_client_certificate=required,
    )


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
