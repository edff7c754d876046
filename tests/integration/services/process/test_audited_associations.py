"""Refused associations and refused requests are on record, with who called from where."""

from __future__ import annotations

from pathlib import Path

import pytest

from gantry.common.adapters.sqlite import open_sqlite_log
from gantry.common.clock import ManualClock
from gantry.common.config.policy import read_policy
from gantry.common.errors import AssociationRejected
from gantry.common.events import AuditRecorded, decode
from gantry.common.net import Peer, Request, Server, connect, scu
from gantry.common.runtime.auditing.trail import AuditTrail
from gantry.common.statuses import NOT_AUTHORISED
from gantry.common.telemetry.metrics import Metrics
from gantry.services.process.admission import PolicyAdmission
from gantry.services.process.association_log import NetworkObserver
from gantry.services.process.audited_associations import AssociationAudit
from gantry.services.process.verification import VerificationService
from tests.integration.services.process.test_association_log import ECHO


class Unwilling(VerificationService):
    """Echoes nobody."""

    async def perform(self, request: Request) -> None:
        await request.fail(NOT_AUTHORISED, "not today")


async def test_who_is_refused_is_on_record_as_a_security_alert(tmp_path: Path) -> None:
    file = tmp_path / "peers.yaml"
    file.write_text("peers:\n  - {ae_title: CT1, host: 127.0.0.1, may: [echo]}\n")
    policy, metrics, clock = read_policy(file, "GANTRY", lab=False), Metrics(), ManualClock()
    log = await open_sqlite_log(tmp_path / "log.db", clock)
    trail = AuditTrail(clock, metrics, "ingest", "host:1")
    observer = NetworkObserver(metrics, "ingest", audit=AssociationAudit(trail))
    admission = PolicyAdmission(lambda: policy, [], observer.open_by_title)
    server = Server([Unwilling()], admission, observer)
    port = await server.start("127.0.0.1", 0)
    with pytest.raises(AssociationRejected):
        async with connect(Peer("127.0.0.1", port, "GANTRY", "STRANGER"), ECHO):
            pass
    async with connect(Peer("127.0.0.1", port, "GANTRY", "CT1"), ECHO) as association:
        assert [await scu.echo(association) for _ in range(3)] == [NOT_AUTHORISED] * 3
        (session,) = [association.trace for association in server.associations]
        assert trail.peer_of(session) is not None
    await server.drain(5.0)
    assert trail.peer_of(session) is None
    await trail.flush(log, everything=True)
    records = [decode(record.payload) async for record in log.replay("audit")]
    fields = {
        (r.kind, r.operation, r.requestor, r.address, r.times, r.outcome)
        for r in records
        if isinstance(r, AuditRecorded)
    }
    assert fields == {
        ("node-refused", "A-ASSOCIATE", "STRANGER", "127.0.0.1", 1, 8),
        ("refused", "C-ECHO", "CT1", "127.0.0.1", 3, 4),
    }
    await log.close()
