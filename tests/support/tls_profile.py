"""Compares the findings of sslscan at a port with the profile of PS3.15 B.12 (RFC 8996, RFC 9325 4.2, 3.3, 3.5)."""

from __future__ import annotations

import subprocess
from xml.etree import ElementTree

from tests.support.certificates import Pair
from tests.support.dcmtk import tool


def require_profile(port: int, client: Pair | None = None) -> None:
    """Fail if the port offers anything outside the profile, or lacks something that it requires. `client` is the client
    certificate, if the port needs one. The test is skipped without sslscan."""
    pair = (f"--certs={client.certificate}", f"--pk={client.key}") if client is not None else ()
    command = [tool("sslscan"), "--xml=-", "--no-colour", *pair, f"127.0.0.1:{port}"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    (report,) = ElementTree.fromstring(done.stdout).findall("ssltest")
    protocols = {
        f"{protocol.get('type')} {protocol.get('version')}"
        for protocol in report.iter("protocol")
        if protocol.get("enabled") == "1"
    }
    assert protocols == {"tls 1.2", "tls 1.3"}
    suites = {suite.get("cipher", "") for suite in report.iter("cipher") if suite.get("sslversion") == "TLSv1.2"}
    assert {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"} <= suites
    assert all(name.startswith("ECDHE-") and ("-GCM-" in name or "CHACHA20" in name) for name in suites), suites
    for weakness in ("compression", "renegotiation"):
        assert {element.get("supported") for element in report.iter(weakness)} <= {"0"}, weakness
    assert {entry.get("vulnerable") for entry in report.iter("heartbleed")} == {"0"}
