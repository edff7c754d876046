"""Settings of audit records."""

from __future__ import annotations

from pathlib import Path

import pytest

from gantry.common.config.audit_sections import AuditSettings


def test_a_certificate_without_its_key_is_refused() -> None:
    with pytest.raises(ValueError, match="go together"):
        AuditSettings(syslog_certificate=Path("a.pem"))
    assert AuditSettings(syslog_certificate=Path("a.pem"), syslog_key=Path("a.key"), syslog="audit.example:6514")


@pytest.mark.parametrize("address", ["audit.example", "audit.example:0", ":x"])
def test_an_address_has_a_port(address: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        AuditSettings(syslog=address)
