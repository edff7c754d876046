"""Subscriptions: made, read, searched, turned off and removed (docs/fhir.md#subscriptions).

POST    /fhir/r4/Subscription
GET     /fhir/r4/Subscription?status=active,error
GET     /fhir/r4/Subscription/ID
PUT     /fhir/r4/Subscription/ID          its status alone: off, or requested once more
DELETE  /fhir/r4/Subscription/ID
GET     /fhir/r4/Subscription/$status, /fhir/r4/Subscription/ID/$status
GET     /fhir/r4/Subscription/ID/$events?eventsSinceNumber=5&eventsUntilNumber=9
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from secrets import token_hex
from urllib.parse import urlsplit
from uuid import uuid4

from aiohttp import web

from gantry.common.access import Identity, Sight, Verb
from gantry.common.clock import Clock
from gantry.common.config.subscription_sections import SubscriptionSettings
from gantry.common.errors import NotUnderstood
from gantry.common.events import SubscriptionCreated, SubscriptionDeleted, SubscriptionStatusChanged
from gantry.common.fhir.identifiers import Systems
from gantry.common.fhir.searches import number
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.runtime.followed_subscriptions import FollowedSubscriptions
from gantry.common.runtime.subscribed_studies import SubscribedStudies
from gantry.common.runtime.subscription_seal import SubscriptionSeal
from gantry.common.subscriptions.filters import search_of_filters
from gantry.common.subscriptions.fold import Subscription, Subscriptions
from gantry.common.subscriptions.forms import FORMS
from gantry.common.subscriptions.model import Content, Release, Status, SubscriptionRequest, owner_of
from gantry.common.subscriptions.reading import AskedSubscription
from gantry.common.subscriptions.resources import NotificationType
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.web.callers import caller_of, may
from gantry.common.web.errors import HttpProblem
from gantry.common.web.fhir_answers import FHIR_JSON, Body, CreatedResource, answered, base_of, check_format, link
from gantry.common.web.json_bodies import json_body
from gantry.common.web.negotiation import JSON
from gantry.common.web.routes import FHIR_R5, OF_SUBSCRIPTIONS, Match, Resource
from gantry.common.web.server import CALLER, TRACE, Handler

_LONGEST_BODY = 64 << 10
_DAY_US = 24 * 3600 * 1_000_000
_MOST_EVENTS = 100
"""Most events in one answer to `$events`."""
_NO_SUCH = "there is no such Subscription"
_NOT_HERE = "there are no subscriptions here: subscriptions.endpoints is not set (docs/fhir.md)"
logger = get_logger("subscriptions")


async def _raise_not_found() -> Body:
    raise HttpProblem(404, _NOT_HERE)


async def _no_subscriptions(request: web.BaseRequest, match: Match) -> web.StreamResponse:
    return await answered(request, _raise_not_found())


NO_SUBSCRIPTIONS: dict[Resource, Handler] = dict.fromkeys(OF_SUBSCRIPTIONS, _no_subscriptions)
"""The handlers if there are no subscriptions."""


class SubscriptionService:
    """The handlers of subscriptions. Callers see and change those that they made; callers that may operate, all."""

    def __init__(
        self,
        followed: FollowedSubscriptions,
        seal: SubscriptionSeal,
        studies: SubscribedStudies,
        settings: SubscriptionSettings,
        systems: Systems,
        clock: Clock,
        metrics: Metrics,
        may_subscribe: Collection[str],
        may_operate: Collection[str],
    ) -> None:
        """`may_subscribe` and `may_operate` are the names of tokens, and `LOOPBACK`."""
        self._followed = followed
        self._seal = seal
        self._studies = studies
        self._urls = studies.urls
        self._settings = settings
        self._systems = systems
        self._clock = clock
        self._metrics = metrics
        self._may_subscribe = frozenset(may_subscribe)
        self._may_operate = frozenset(may_operate)

    def handlers(self) -> dict[Resource, Handler]:
        """For the HTTP server."""
        return dict.fromkeys(OF_SUBSCRIPTIONS, self.handle)

    async def handle(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """Answer any request about subscriptions."""
        return await answered(request, self._answer(request, match))

    async def _answer(self, request: web.BaseRequest, match: Match) -> Body | CreatedResource:
        check_format(request)
        if not may(request, Verb.SUBSCRIBE, self._may_subscribe):
            raise HttpProblem(403, "this caller may not subscribe; http.may_subscribe names those that may")
        below = match.rest[1:]
        if match.resource is Resource.SUBSCRIBE:
            if below:
                raise HttpProblem(405, "a Subscription is made by POST to Subscription", {"Allow": "GET, PUT, DELETE"})
            return await self._create(request)
        if match.resource is Resource.SUBSCRIPTIONS and (not below or below == ("$status",)):
            return await self._search(request, statuses=bool(below))
        name, operation = (below[0], below[1:]) if below else ("", ())
        known = await self._known(request, name)
        if match.resource is Resource.CHANGE_SUBSCRIPTION and not operation:
            return await self._change(request, name, known)
        if match.resource is Resource.UNSUBSCRIBE and not operation:
            return await self._delete(request, name)
        if match.resource is Resource.SUBSCRIPTIONS:
            if not operation:
                return self._resource(name, known)
            if operation == ("$status",):
                return self._statuses([(name, known)], _release(request))
            if operation == ("$events",):
                return await self._events(request, name, known)
        raise HttpProblem(404, "below a Subscription there are $status and $events")

    # ---- made

    async def _create(self, request: web.BaseRequest) -> CreatedResource:
        subscription = self._requested_subscription(request, await self._body(request))
        identity, now = request[CALLER].identity, self._clock.now_us()
        wanted, ends_at = self._accepted(subscription, identity, now)
        owner, name = owner_of(identity), token_hex(8)
        self._require_room(await self._followed.latest(), owner)
        host, sealed = urlsplit(wanted.endpoint).hostname or "", self._seal.seal(wanted, identity)
        created = SubscriptionCreated(
            DEFAULT_PARTITION, request[TRACE], name, sealed, host, owner, caller_of(request), ends_at, now
        )
        subscriptions = await self._followed.tell(created)
        try:
            self._require_room(subscriptions, owner, name)
        except HttpProblem:
            await self._followed.tell(SubscriptionDeleted(DEFAULT_PARTITION, request[TRACE], name, "", now))
            raise
        self._metrics.subscriptions_changed.labels("created").inc()
        logger.info("subscription made", subscription=name, caller=created.by, host=created.host)
        known = subscriptions.named(name) or Subscription(created)
        location = self._urls.of(wanted.release).subscription(name)
        return CreatedResource(self._resource(name, known), headers={"Location": location})

    def _requested_subscription(self, request: web.BaseRequest, content: object) -> AskedSubscription:
        """The subscription that a request describes, in the release of FHIR that it uses. Raises `NotUnderstood`."""
        release = _release(request)
        return FORMS[release].asked(content, self._urls.of(release).topic, self._settings.endpoints)

    def _accepted(
        self, subscription: AskedSubscription, identity: Identity, now: int
    ) -> tuple[SubscriptionRequest, int]:
        """What is wanted, and when the subscription ends. Raises `NotUnderstood`."""
        if subscription.status not in (Status.REQUESTED, Status.ACTIVE):
            raise NotUnderstood("status: a new Subscription is requested")
        if subscription.ends_at and subscription.ends_at <= now:
            raise NotUnderstood("end: it is over already")
        longest = now + int(self._settings.longest_days * _DAY_US)
        base = self._urls.of(subscription.wanted.release).fhir
        search_of_filters(subscription.wanted.filters, self._systems, identity.facts, base)
        return subscription.wanted, min(subscription.ends_at or longest, longest)

    def _require_room(self, known: Subscriptions, owner: str, ours: str = "") -> None:
        """Raises `HttpProblem` 429 if there is no room for one more or, once it is on the log, for `ours`: of several
        made at the same time, the first on the log remain."""
        every = [name for name, _ in known.all()]
        of_owner = known.of_owner(owner)
        for names, most in ((every, self._settings.most), (of_owner, self._settings.most_per_caller)):
            before = names.index(ours) if ours in names else len(names)
            if before >= most:
                raise HttpProblem(429, f"there are {most} subscriptions already: remove one that is over")

    # ---- seen

    async def _known(self, request: web.BaseRequest, name: str) -> Subscription:
        known = (await self._followed.latest()).named(name)
        if known is None or not self._is_for(request, known) or self._release_of(known) is not _release(request):
            raise HttpProblem(404, _NO_SUCH)
        return known

    def _release_of(self, known: Subscription) -> Release:
        """The release in which it was made; an unreadable one is shown as such, in R4."""
        try:
            return self._opened(known)[0].release
        except HttpProblem:
            return Release.R4

    def _is_for(self, request: web.BaseRequest, known: Subscription) -> bool:
        made = known.created
        if made is None:
            return False
        return made.owner == owner_of(request[CALLER].identity) or self._sees_all(request)

    def _sees_all(self, request: web.BaseRequest) -> bool:
        return request[CALLER].sight.whole and may(request, Verb.OPERATE, self._may_operate)

    def _resource(self, name: str, known: Subscription) -> Body:
        wanted, _ = self._opened(known)
        return FORMS[wanted.release].resource(name, known, wanted, self._urls.of(wanted.release))

    async def _search(self, request: web.BaseRequest, *, statuses: bool) -> Body:
        """All that the caller sees, on one page, since they are few."""
        wanted = {status for value in request.query.getall("status", []) for status in value.split(",")}
        release = _release(request)
        urls = self._urls.of(release)
        ids = {id_ for name in ("_id", "id") for value in request.query.getall(name, []) for id_ in value.split(",")}
        matches = [
            (name, known)
            for name, known in (await self._followed.latest()).all()
            if self._is_for(request, known)
            and (not wanted or known.status.value in wanted)
            and (not ids or name in ids)
            and self._release_of(known) is release
        ]
        if statuses:
            return self._statuses(matches, release)
        used = [(name, value) for name, value in request.query.items() if name in ("status", "_id")]
        entries = []
        for name, known in matches:
            try:
                resource = self._resource(name, known)
            except HttpProblem:
                continue  # read by its id it says why
            url = urls.subscription(name)
            entries.append({"fullUrl": url, "resource": resource, "search": {"mode": "match"}})
        self_link = link("self", f"{urls.fhir}/Subscription", used)
        return _searchset(entries, [self_link])

    def _statuses(self, matches: Collection[tuple[str, Subscription]], release: Release) -> Body:
        entries, urls = [], self._urls.of(release)
        for name, known in matches:
            unique = str(uuid4())
            status = {**FORMS[release].status(name, known, NotificationType.QUERY_STATUS, urls), "id": unique}
            entries.append({"fullUrl": f"urn:uuid:{unique}", "resource": status, "search": {"mode": "match"}})
        return _searchset(entries, [{"relation": "self", "url": f"{urls.fhir}/Subscription/$status"}])

    async def _events(self, request: web.BaseRequest, name: str, known: Subscription) -> Body:
        """The notifications that are still stored, with what the caller may know now."""
        query = request.query
        first = number("eventsSinceNumber", query.get("eventsSinceNumber", "0"))
        last = number("eventsUntilNumber", query.get("eventsUntilNumber", "999999999"))
        wanted, identity = self._opened(known)
        if "content" in query:
            wanted = replace(wanted, content=_lesser(wanted.content, query["content"]))
        sight: Sight = request[CALLER].sight
        noted = known.between(first, last, _MOST_EVENTS)
        notices = [await self._studies.notified_event(event, wanted, identity.facts, sight) for event in noted]
        unique, now = str(uuid4()), self._clock.now_us()
        urls, tell = self._urls.of(wanted.release), FORMS[wanted.release].notification
        return tell(name, known, wanted.content, NotificationType.QUERY_EVENTS, urls, notices, now, unique)

    def _opened(self, known: Subscription) -> tuple[SubscriptionRequest, Identity]:
        """Its content, and its owner. Raises `HttpProblem` 409 if it can no longer be decrypted."""
        assert known.created is not None
        try:
            return self._seal.open(known.created.sealed)
        except NotUnderstood as error:
            raise HttpProblem(409, f"this Subscription cannot be read: {error}") from error

    # ---- changed

    async def _change(self, request: web.BaseRequest, name: str, known: Subscription) -> Body:
        content = await self._body(request)
        subscription = self._requested_subscription(request, content)
        if isinstance(content, dict) and content.get("id") != name:
            raise NotUnderstood("id: that of the Subscription")
        wanted, _ = self._opened(known)
        # We do not return headers, so a client that sends back what it read has none.
        if replace(subscription.wanted, headers=()) != replace(wanted, headers=()):
            raise HttpProblem(422, "of a Subscription its status can be changed: make another one, and remove this one")
        if subscription.status not in (Status.OFF, Status.REQUESTED):
            raise HttpProblem(422, "status: off, or requested; the rest is the archive's to say")
        if subscription.status is not known.status:
            event = SubscriptionStatusChanged(
                *(DEFAULT_PARTITION, request[TRACE], name, subscription.status.value, "", caller_of(request)),
                self._clock.now_us(),
            )
            known = (await self._followed.tell(event)).named(name) or known
            self._metrics.subscriptions_changed.labels(subscription.status.value).inc()
            logger.info("subscription changed", subscription=name, status=subscription.status.value, caller=event.by)
        return self._resource(name, known)

    async def _delete(self, request: web.BaseRequest, name: str) -> CreatedResource:
        now, by = self._clock.now_us(), caller_of(request)
        await self._followed.tell(SubscriptionDeleted(DEFAULT_PARTITION, request[TRACE], name, by, now))
        self._metrics.subscriptions_changed.labels("deleted").inc()
        logger.info("subscription removed", subscription=name, caller=by)
        return CreatedResource()

    async def _body(self, request: web.BaseRequest) -> object:
        return await json_body(request, (FHIR_JSON, JSON), _LONGEST_BODY)


def _release(request: web.BaseRequest) -> Release:
    """The release of FHIR that a request uses."""
    return Release.R5 if base_of(request) == FHIR_R5 else Release.R4


def _searchset(entries: list[Body], links: list[Body]) -> Body:
    bundle: Body = {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "link": links}
    if entries:
        bundle["entry"] = entries
    return bundle


def _lesser(content: Content, word: str) -> Content:
    """The requested content (it is a hint), but no more than the subscription has. Raises `NotUnderstood`."""
    try:
        wanted = Content(word)
    except ValueError:
        raise NotUnderstood(f"content: one of {', '.join(Content)}") from None
    order = list(Content)
    return min(content, wanted, key=order.index)
