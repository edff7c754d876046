"""The audit trail of a process and its spool."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from pathlib import Path

from gantry.common.audit import AuditEntry, AuditKind
from gantry.common.audit.changes import ARCHIVE
from gantry.common.clock import Clock
from gantry.common.config.settings import Settings
from gantry.common.ports.index import ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.auditing.audited_log import AuditedLog
from gantry.common.runtime.auditing.patients import PatientLookup
from gantry.common.runtime.auditing.spool import AuditSpool
from gantry.common.runtime.auditing.trail import AuditTrail
from gantry.common.telemetry.metrics import Metrics


def open_trail(settings: Settings, clock: Clock, metrics: Metrics, roles: Iterable[str]) -> AuditTrail:
    """The trail of this process. If its spool cannot be written, that is logged, and the trail works without one."""
    process = f"{socket.gethostname()}:{os.getpid()}"
    return AuditTrail(clock, metrics, ",".join(sorted(roles)), process, _spool(settings), on=settings.audit.on)


def audited(log: EventLog, index: ReadIndex, trail: AuditTrail) -> EventLog:
    """The log, with an audit record for every change that is appended."""
    if not trail.on:
        return log
    trail.patients = PatientLookup(index)
    return AuditedLog(log, trail)


def record_life(trail: AuditTrail, kind: AuditKind) -> None:
    """Record that the process started, stopped, or loaded another policy."""
    trail.add(AuditEntry(kind, kind.event.meaning if kind.type is None else kind.type.meaning, ARCHIVE, ARCHIVE))


def spool_folder(settings: Settings) -> Path:
    """The folder of records that are not on the log yet."""
    return settings.audit.spool or settings.data / "audit"


def _spool(settings: Settings) -> AuditSpool | None:
    if not settings.audit.on:
        return None
    return AuditSpool(spool_folder(settings), settings.audit.spool_size)
