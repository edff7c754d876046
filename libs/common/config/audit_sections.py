"""Settings of audit records."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import model_validator

from gantry.common.config.values import MIB, Count, HostAndPort, Seconds, Section, setting


class AuditSettings(Section):
    """Who accessed, changed, sent, asked for or was refused what (docs/audit.md)"""

    on: bool = setting(True, "", "Write audit records")
    spool: Path | None = setting(
        None,
        "folder",
        "Folder on this machine for records that are not on the log yet; `audit` below `data` by default",
    )
    spool_size: Count = setting(
        64 * MIB, "bytes", "Size limit of that folder, per process; records beyond it are dropped and counted"
    )
    syslog: HostAndPort | None = setting(
        None, "HOST:PORT", "The audit repository: syslog over TLS (RFC 5425); nothing is sent without it"
    )
    syslog_certificate: Path | None = setting(None, "PEM file", "Our certificate, for mutual TLS")
    syslog_key: Path | None = setting(None, "PEM file", "Its key")
    syslog_ca: Path | None = setting(
        None, "PEM file", "The authority of the repository's certificate; this machine's roots without it"
    )
    syslog_timeout: Seconds = setting(
        10.0, "s", "Timeout for connecting, and for the repository to accept what is written"
    )
    syslog_retry_longest: Seconds = setting(60.0, "s", "The longest wait between tries to reach it; doubles from 1 s")

    evidence_key: Path | None = setting(
        None,
        "PEM file",
        "Private Ed25519 key that signs statements of sealed segments (`gantry evidence new-key`); without it: none",
    )
    evidence_every: Seconds = setting(3600.0, "s", "Between statements; 0: only by `gantry evidence state`")

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.syslog_certificate is None) != (self.syslog_key is None):
            raise ValueError("syslog_certificate and syslog_key go together")
        return self
