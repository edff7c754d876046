"""What was sent is on record for audits, and noted for `gantry where`."""

from __future__ import annotations

from gantry.common.audit import AuditKind
from gantry.common.clock import ManualClock
from gantry.common.telemetry.metrics import Metrics
from gantry.services.retrieve.audited_deliveries import DeliveryAudit
from gantry.services.retrieve.deliveries import Deliveries
from gantry.services.retrieve.dimse.suboperations import Counters
from tests.unit.services.test_audited import Heard, location


def test_what_was_not_accepted_or_not_sent_at_all_is_told_from_what_was() -> None:
    trail = Heard()
    audit = DeliveryAudit(trail, Deliveries(ManualClock(), Metrics()))  # type: ignore[arg-type]  # as far as it is asked
    locations = [location("1.1", number) for number in range(3)]
    counters = Counters(3)
    audit.begins("C-GET", "READING", ("READING", "192.0.2.9"), locations, "t")
    counters.count(locations[0], 0x0000)
    counters.count(locations[1], 0xA700)
    audit.sent("C-GET", "READING", ("READING", "192.0.2.9"), locations, counters, "t")
    summary = [(entry.kind, entry.outcome, entry.objects[0].instances) for entry in trail.entries]
    assert summary == [(AuditKind.BEGIN_SENDING, 0, 3), (AuditKind.SENT, 0, 1), (AuditKind.SENT, 8, 2)]
