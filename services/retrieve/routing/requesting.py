"""Which routes a study gets, by the rules of the settings, when it is complete, when instances are removed or come
back, or when it is corrected; and which workitems when it is complete."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from gantry.common.clock import Clock
from gantry.common.config.routing_sections import PrefetchRuleSettings, RouteRuleSettings, RoutingSettings
from gantry.common.dicom.query.attributes import AttributeTable
from gantry.common.dicom.query.where import studies_where
from gantry.common.errors import ConfigError, NotUnderstood
from gantry.common.events import (
    InstancesDeleted,
    InstancesRestored,
    RouteRequested,
    StudyCompleted,
    StudyCorrected,
    StudyCorrectionWithdrawn,
    WorkitemCreated,
)
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.lifecycle.route_timing import RoutePriority, RouteTimes, RouteTiming, TimeWindow
from gantry.common.lifecycle.routes import RouteRule, requests
from gantry.common.ports.index import ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.consumer import Delivery
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.telemetry.logs import get_logger
from gantry.services.retrieve.routing.changing import ChangeRequests
from gantry.services.retrieve.routing.matching import rule_finds
from gantry.services.retrieve.routing.work_requesting import WorkRequests

GROUP = "routing"
logger = get_logger("routing")


def route_times(settings: RoutingSettings) -> RouteTimes:
    """When the routes of rules are sent, and which go first."""
    words = {priority.word: priority for priority in RoutePriority}
    rules: list[RouteRuleSettings | PrefetchRuleSettings] = [*settings.rules, *settings.prefetch]
    timings = {
        rule.name: RouteTiming(words[rule.priority], None if rule.between is None else TimeWindow.of(rule.between))
        for rule in rules
    }
    return RouteTimes(timings, None if settings.time_zone is None else ZoneInfo(settings.time_zone))


def route_rules(settings: RoutingSettings, attributes: AttributeTable) -> list[RouteRule]:
    """The rules of `routing.rules`. Raises `ConfigError` for a condition that cannot be queried."""
    rules, receivers = [], {receiver.name for receiver in settings.receivers}
    for rule in settings.rules:
        try:
            query = studies_where(rule.where, DEFAULT_PARTITION, attributes)
        except NotUnderstood as error:
            raise ConfigError("routing.rules", None, f"rule {rule.name}: {error}") from error
        corrected = tuple(name for name in rule.notify if name in receivers) if rule.corrections else ()
        actions = rule.to, rule.notify, rule.commit, rule.deidentify or "", corrected
        rules.append(RouteRule(rule.name, query, frozenset(rule.sources), *actions))
    return rules


class RouteRequests:
    """The handler of the consumer loop that reads completions and deletions."""

    def __init__(
        self,
        rules: Sequence[RouteRule],
        log: EventLog,
        index: ReadIndex,
        clock: Clock,
        work: WorkRequests | None = None,
    ) -> None:
        """`work` makes the workitems that rules ask for, if any."""
        self._rules = rules
        self._work = work
        self._log = log
        self._index = index
        self._clock = clock
        self._changes = ChangeRequests(rules, log, index, clock)
        corrections = (StudyCorrected, StudyCorrectionWithdrawn) if any(rule.corrected for rule in rules) else ()
        self._awaited = (InstancesDeleted, InstancesRestored, *corrections)
        """The index must know these before rules are matched against it."""

    async def __call__(self, batch: Sequence[Delivery]) -> None:
        """Publish the routes of a batch. Raises `DependencyUnavailable`: then the whole batch comes again, and routes
        published already have the same names."""
        if any(isinstance(delivery.event, self._awaited) for delivery in batch):
            await self._changes.follow()
        for delivery in batch:
            event = delivery.event
            routes: list[RouteRequested] = []
            workitems: list[WorkitemCreated] = []
            if isinstance(event, StudyCompleted):
                matching = await self.matching(event)
                routes = requests(event, matching, self._clock.now_us())
                workitems = [] if self._work is None else await self._work.of(event, matching)
            elif isinstance(event, InstancesDeleted | InstancesRestored):
                routes = await self._changes.routes_of(event)
            elif isinstance(event, StudyCorrected | StudyCorrectionWithdrawn):
                routes = await self._changes.corrections_of(event)
            if routes or workitems:
                await self._log.append(*routes, *workitems)
                await reach(FailPoint.AFTER_PUBLISH)
                logger.info("routes requested", routes=len(routes), workitems=len(workitems), trace=event.trace)

    async def matching(self, completed: StudyCompleted) -> list[RouteRule]:
        """The rules that apply to a study now. Raises `DependencyUnavailable`."""
        return [
            rule
            for rule in self._rules
            if rule.may_apply(completed) and await rule_finds(rule, self._index, completed.study_instance_uid)
        ]
