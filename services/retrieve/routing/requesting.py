"""Which routes a completed study gets, after the rules of the settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gantry.common.clock import Clock
from gantry.common.config.role_sections import RouteRuleSettings
from gantry.common.dicom.query.attributes import AttributeTable
from gantry.common.dicom.query.matching import Single
from gantry.common.dicom.query.where import studies_where
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.errors import ConfigError, NotUnderstood
from gantry.common.events import RouteRequested, StudyCompleted
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.lifecycle.routes import RouteRule, requests
from gantry.common.ports.index import ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.consumer import Delivery
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.telemetry.logs import get_logger

GROUP = "routing"
logger = get_logger("routing")


def route_rules(settings: Sequence[RouteRuleSettings], attributes: AttributeTable) -> list[RouteRule]:
    """The rules of `routing.rules`. Raises `ConfigError` for a condition that cannot be searched for."""
    rules = []
    for one in settings:
        try:
            query = studies_where(one.where, DEFAULT_PARTITION, attributes)
        except NotUnderstood as error:
            raise ConfigError("routing.rules", None, f"rule {one.name}: {error}") from error
        rules.append(RouteRule(one.name, query, frozenset(one.sources), one.to, one.notify))
    return rules


class RouteRequests:
    """The handler of the consumer loop that reads completions."""

    def __init__(self, rules: Sequence[RouteRule], log: EventLog, index: ReadIndex, clock: Clock) -> None:
        self._rules = rules
        self._log = log
        self._index = index
        self._clock = clock

    async def __call__(self, batch: Sequence[Delivery]) -> None:
        """Publish the routes of what is complete. Raises `DependencyUnavailable`: then all of it comes again, and what
        was published already has the same names."""
        for delivery in batch:
            if isinstance(delivery.event, StudyCompleted):
                routes = await self.routes_of(delivery.event)
                if routes:
                    await self._log.append(*routes)
                    await reach(FailPoint.AFTER_PUBLISH)
                    logger.info("routes requested", routes=len(routes), trace=delivery.event.trace)

    async def routes_of(self, completed: StudyCompleted) -> list[RouteRequested]:
        """What rules say of a study now. Raises `DependencyUnavailable`."""
        matching = [
            rule
            for rule in self._rules
            if rule.may_apply(completed) and await self._matches(rule, completed.study_instance_uid)
        ]
        return requests(completed, matching, self._clock.now_us())

    async def _matches(self, rule: RouteRule, study: str) -> bool:
        known = rule.query.conditions.get(STUDY_INSTANCE_UID)
        if known is not None and known != Single((study,)):
            return False
        conditions = {**rule.query.conditions, STUDY_INSTANCE_UID: Single((study,))}
        async for page in self._index.find(replace(rule.query, conditions=conditions, limit=1)):
            return bool(page)
        return False
