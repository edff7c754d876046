"""What was sent over DIMSE, recorded twice: for `gantry where` (`Deliveries`), and for audits."""

from __future__ import annotations

from collections.abc import Sequence

from gantry.common.audit import AuditKind
from gantry.common.ports.index import Location
from gantry.common.runtime.auditing.trail import AuditTrail
from gantry.services.audited import audit_sending
from gantry.services.retrieve.deliveries import Deliveries
from gantry.services.retrieve.dimse.suboperations import Counters


class DeliveryAudit:
    """Records when a request begins to send, and when it ends."""

    def __init__(self, trail: AuditTrail, deliveries: Deliveries) -> None:
        self._trail = trail
        self._deliveries = deliveries

    def begins(
        self, over: str, requestor: str, receiver: tuple[str, str], locations: Sequence[Location], trace: str
    ) -> None:
        """`gantry.services.retrieve.dimse.service.Begins`."""
        wanted = [(location, True) for location in locations]
        audit_sending(self._trail, AuditKind.BEGIN_SENDING, over, requestor, receiver, wanted, trace)

    def sent(
        self,
        over: str,
        requestor: str,
        receiver: tuple[str, str],
        locations: Sequence[Location],
        counters: Counters,
        trace: str = "",
    ) -> None:
        """`gantry.services.retrieve.dimse.service.Delivered`."""
        by = counters.deidentified_by
        words = f"{over}, de-identified by {by}" if by else over
        self._deliveries.sent(words, requestor, receiver, locations, counters, trace)
        failed = set(counters.failed_uids)
        waiting = {id(location) for location in counters.uncounted(locations)}
        sent = [
            (location, id(location) not in waiting and location.sop_instance_uid not in failed)
            for location in locations
        ]
        audit_sending(self._trail, AuditKind.SENT, over, requestor, receiver, sent, trace, counters.why, by)
