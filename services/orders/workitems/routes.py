"""Reports on workitems become routes to subscribers over DIMSE (PS3.4 CC.2.4, pure).

The queues of routes have the breaker, the retries, the list and the order for each workitem (decision 0053). A route
carries no patient data: apart from the state, the content of a report lies in the object that its event names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from blake3 import blake3

from gantry.common.events import RouteRequested
from gantry.common.lifecycle.routes import WORKITEM_EVENT
from gantry.common.orders import ValuedEvent, first
from gantry.common.workitems.model import PROCEDURE_STEP_STATE
from gantry.common.workitems.reports import READINESS, EventType
from gantry.services.orders.workitems.happenings import Happening

RULE = "workitem subscription"


def workitem_routes(happening: Happening, destinations: Iterable[str], now_us: int) -> Iterator[RouteRequested]:
    """The routes of some events, one for each destination and report, in order; the same if they are read twice."""
    event = happening.event
    for destination in destinations:
        for report in happening.reports:
            parts = event.partition, event.sop_instance_uid, event.change, destination, str(int(report.type))
            name = blake3("\0".join((*parts, WORKITEM_EVENT)).encode()).hexdigest()[:32]
            valued = event if isinstance(event, ValuedEvent) and report.type is not EventType.STATE else None
            yield RouteRequested(
                *(event.partition, event.trace, event.sop_instance_uid, name, RULE, destination),
                # An earlier release, which does not know this kind, finds nothing to send between these receipts.
                first_receipt="",
                last_receipt="",
                at=now_us,
                kind=WORKITEM_EVENT,
                requestor=event.source.partition(" ")[2],
                step_event=int(report.type),
                values_key=valued.values_key if valued else "",
                values_size=valued.values_size if valued else 0,
                values_digest=valued.values_digest if valued else "",
                step_state=first(report.information, PROCEDURE_STEP_STATE),
                step_readiness=first(report.information, READINESS),
            )
