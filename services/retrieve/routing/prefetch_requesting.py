"""Which priors are to be fetched for an order, by the rules of the settings: a route for each archive that is asked, or
a workitem for another system, once for an order and its patient."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from blake3 import blake3

from gantry.common.clock import Clock
from gantry.common.config.routing_sections import PrefetchRuleSettings
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.errors import UndecodableEvent
from gantry.common.events import TOPICS, OrderPlaced, RouteRequested, decode
from gantry.common.lifecycle.retention_rules import period_of
from gantry.common.lifecycle.routes import PREFETCH
from gantry.common.orders import Order, first
from gantry.common.ports.log import EventLog
from gantry.common.ports.orders import OrderIndex
from gantry.common.runtime.consumer import Delivery
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.runtime.order_follower import Follower
from gantry.common.telemetry.logs import get_logger
from gantry.services.retrieve.routing.prior_work_requesting import OrderEvent, PriorWorkRequests
from gantry.services.retrieve.routing.priors import OF_ORDER, FutureOrder, PriorRule, future_order_of
from gantry.services.retrieve.routing.step_requesting import followed

GROUP = "prefetch-routing"
TOPIC = TOPICS[OrderPlaced].name
_ROUTES = TOPICS[RouteRequested].name
_SKEW_US = 300_000_000
_STALE = timedelta(days=7)
"""An order whose steps were all scheduled this long ago is not expected any more: it comes from an old system."""
logger = get_logger("routing")


def prior_rules(settings: Sequence[PrefetchRuleSettings]) -> list[PriorRule]:
    """The rules of `routing.prefetch`."""
    return [
        PriorRule(
            *(rule.name, rule.ask, frozenset(rule.modalities), frozenset(rule.codes), frozenset(rule.prior_modalities)),
            None if rule.within is None else period_of(rule.within),
            rule.most,
            rule.dry_run,
            rule.by,
            frozenset(part if part == OF_ORDER else part.upper() for part in rule.body_parts),
        )
        for rule in settings
    ]


def prefetch_requests(
    order: Order, wanted: FutureOrder, trace: str, rules: Iterable[PriorRule], now_us: int
) -> list[RouteRequested]:
    """The routes of an order, one for each archive that a rule asks. They are named by the order and its patient: an
    order that is placed or changed again requests nothing new."""
    made: dict[str, RouteRequested] = {}
    for rule in rules:
        if not rule.applies(wanted):
            continue
        for source in rule.ask:
            parts = order.partition, order.key, wanted.patient_id, wanted.issuer, rule.name, source
            name = blake3("\0".join(parts).encode()).hexdigest()[:32]
            made.setdefault(
                source,
                RouteRequested(
                    *(order.partition, trace, first(order.attributes, STUDY_INSTANCE_UID), name, rule.name, source),
                    # An earlier release, which does not know this kind, finds nothing to send between these receipts.
                    first_receipt="",
                    last_receipt="",
                    at=now_us,
                    kind=PREFETCH,
                    requestor=order.key,
                ),
            )
    return list(made.values())


def is_stale(wanted: FutureOrder, now_us: int) -> bool:
    """Whether all steps of an order were scheduled long ago."""
    oldest = datetime.fromtimestamp(now_us / 1e6, UTC) - _STALE
    return bool(wanted.begins) and wanted.begins < oldest.strftime("%Y%m%d")


class PrefetchRequests:
    """The handler of the consumer loop that reads orders. It reads orders from the projection, which must have followed
    the log that far."""

    def __init__(
        self,
        rules: Sequence[PriorRule],
        log: EventLog,
        orders: OrderIndex,
        follower: Follower,
        clock: Clock,
        work: PriorWorkRequests | None = None,
    ) -> None:
        """`work` is for rules whose priors another system fetches."""
        self._rules = rules
        self._work = work
        self._log = log
        self._orders = orders
        self._follower = follower
        self._clock = clock
        self._names: set[str] = set()
        self._read_us = 0
        self.since_us = 0
        """Earlier orders are history, even if a restore has appended them since."""

    async def __call__(self, batch: Sequence[Delivery]) -> None:
        """Publish the routes of a batch. Raises `DependencyUnavailable`: then the whole batch comes again, and routes
        published already have the same names."""
        events = [delivery.event for delivery in batch if isinstance(delivery.event, OrderEvent)]
        events = [event for event in events if event.at >= self.since_us]
        if not events:
            return
        await followed(self._log, self._follower, self._clock)
        await self._refresh()
        for event in {(event.partition, event.order): event for event in events}.values():
            known = await self._orders.order(event.partition, event.order)
            if known is None:
                continue
            wanted = future_order_of(*known)
            routes = self._routes(known[0], wanted, event.trace)
            works = [] if self._work is None or self._is_stale(wanted) else await self._work.of(event, *known, wanted)
            if routes or works:
                await self._log.append(*routes, *works)
                await reach(FailPoint.AFTER_PUBLISH)
                self._names |= {route.route for route in routes}
                logger.info("priors requested", routes=len(routes), workitems=len(works), trace=event.trace)

    def _routes(self, order: Order, wanted: FutureOrder | None, trace: str) -> list[RouteRequested]:
        if wanted is None or self._is_stale(wanted):
            return []
        routes = prefetch_requests(order, wanted, trace, self._rules, self._clock.now_us())
        return [route for route in routes if route.route not in self._names]

    def _is_stale(self, wanted: FutureOrder | None) -> bool:
        return wanted is not None and is_stale(wanted, self._clock.now_us())

    async def _refresh(self) -> None:
        """Read which routes were requested, also by other processes; the log keeps them for 30 days."""
        now = self._clock.now_us()
        async for record in self._log.replay(_ROUTES, self._read_us):
            try:
                event = decode(record.payload)
            except UndecodableEvent:
                continue  # of a newer release
            if isinstance(event, RouteRequested) and event.kind == PREFETCH:
                self._names.add(event.route)
        self._read_us = max(self._read_us, now - _SKEW_US)
