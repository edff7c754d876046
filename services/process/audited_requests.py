"""Audit records of HTTP requests: reading, searching, refusals, and logins."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from gantry.common.audit import FAILURE, SERIOUS_FAILURE, SUCCESS, AuditEntry, AuditKind
from gantry.common.audit.changes import LOOPBACK, requestor_kind
from gantry.common.clock import Clock
from gantry.common.events import AuditedInstances
from gantry.common.ids import is_uid
from gantry.common.runtime.auditing.trail import AuditTrail
from gantry.common.web.access import Caller
from gantry.common.web.bodies import BEGUN
from gantry.common.web.deidentified_for import DEIDENTIFIED_FOR
from gantry.common.web.login_outcome import LOGIN_OUTCOME, LoginOutcome
from gantry.common.web.override_begun import OVERRIDE_BEGUN, OverrideBegun
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import CALLER, TRACE

# Changes are audited as events. Objects and frames are exports; the other resources are accesses.
_READS: Mapping[Resource, AuditKind] = {
    Resource.OBJECTS: AuditKind.SENT,
    Resource.DEIDENTIFIED: AuditKind.SENT,
    Resource.FRAMES: AuditKind.SENT,
    Resource.BULK_DATA: AuditKind.SENT,
    Resource.WADO_URI: AuditKind.SENT,
    Resource.METADATA: AuditKind.ACCESSED,
    Resource.RENDERED: AuditKind.ACCESSED,
    Resource.THUMBNAIL: AuditKind.ACCESSED,
    Resource.HISTORY: AuditKind.ACCESSED,
    Resource.SEND: AuditKind.BEGIN_SENDING,
    Resource.SEARCH_STUDIES: AuditKind.QUERY,
    Resource.SEARCH_SERIES: AuditKind.QUERY,
    Resource.SEARCH_INSTANCES: AuditKind.QUERY,
    Resource.FHIR: AuditKind.QUERY,
    Resource.SHARES: AuditKind.QUERY,
    Resource.FHIR_ORDERS: AuditKind.QUERY,
    Resource.SUBSCRIPTIONS: AuditKind.QUERY,
    Resource.SEARCH_ORDERS: AuditKind.QUERY,
    Resource.CHANGE_FEED: AuditKind.QUERY,
    Resource.MESSAGES: AuditKind.QUERY,
    Resource.ORDER: AuditKind.ORDER_READ,
    Resource.SEARCH_WORKITEMS: AuditKind.QUERY,
    Resource.WORKITEM_EVENTS: AuditKind.QUERY,
    Resource.WORKITEM: AuditKind.PROCEDURE_READ,
}
_OPERATIONS: Mapping[str, AuditKind] = {
    "audit": AuditKind.LOG_USED,
    "where": AuditKind.QUERY,
    "conflicts": AuditKind.QUERY,
    "holds": AuditKind.QUERY,
    "retention": AuditKind.QUERY,
}
"""Operations that are about patients."""
_OF_NOBODY = frozenset((Resource.PAGE, Resource.LOGIN, Resource.SESSION, Resource.SHARE, Resource.ENTER_SHARE))
"""Requests before a login; the end of a login, and the opening of a link, are audited separately."""
_OF_WORKITEMS = frozenset((Resource.SUBSCRIBE_WORKITEMS, Resource.UNSUBSCRIBE_WORKITEMS))
"""Resources whose path has the UID of a workitem."""
_LOGIN_US = 12 * 3600 * 1_000_000
_MOST_KNOWN = 10_000


class RequestAudit:
    """Called by the HTTP server after every request."""

    def __init__(self, trail: AuditTrail, clock: Clock) -> None:
        self._trail = trail
        self._clock = clock
        self._came: dict[tuple[str, str], int] = {}

    def __call__(self, request: web.BaseRequest, match: Match | None, status: int, why: str) -> None:
        """`gantry.common.web.server.Witness`."""
        caller = request.get(CALLER)
        if caller is None:
            self._refused_entry(request, status, why)
            return
        name = caller.name or LOOPBACK
        address = "" if caller.address is None else str(caller.address)
        login = request.get(LOGIN_OUTCOME)
        if login is not None:
            self._trail.add(_login(login, address))
        begun = request.get(OVERRIDE_BEGUN)
        if begun is not None:
            self._trail.add(_override(begun, name, address, request.get(TRACE, "")))
        if caller.name and match is not None and not caller.by_cookie:
            self._note_login(caller.name, address)
        if match is None:
            return
        kind = _kind(match)
        if status == 403:
            kind = AuditKind.REFUSED
        if kind is None or (match.resource in _OF_NOBODY):
            return
        self._trail.add(_entry(request, match, kind, name, address, _outcome(request, status), why))

    def _refused_entry(self, request: web.BaseRequest, status: int, why: str) -> None:
        """A caller without a token, or from an address without access: a failed login (PS3.15 A.5.3.13)."""
        if status not in (401, 403):
            return
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        address = str(peer[0]) if peer else ""
        self._trail.add(AuditEntry(AuditKind.LOGIN, request.method, "", "", address, outcome=SERIOUS_FAILURE, why=why))

    def _note_login(self, name: str, address: str) -> None:
        """The first request with a token from an address counts as a login, and then one every twelve hours."""
        now = self._clock.now_us()
        if now - self._came.get((name, address), -_LOGIN_US) < _LOGIN_US:
            return
        self._came.pop((name, address), None)
        self._came[name, address] = now
        if len(self._came) > _MOST_KNOWN:
            del self._came[next(iter(self._came))]
        self._trail.add(AuditEntry(AuditKind.LOGIN, "bearer token", name, "token", address))


def _login(login: LoginOutcome, address: str) -> AuditEntry:
    """A login or logout in a browser, or a failed one (PS3.15 A.5.3.13)."""
    kind, outcome = AuditKind.LOGOUT if login.out else AuditKind.LOGIN, SERIOUS_FAILURE if login.why else SUCCESS
    requestor, about = requestor_kind(login.name), tuple(map(AuditedInstances, login.studies))
    return AuditEntry(kind, login.by, login.name, requestor, address, outcome=outcome, why=login.why, objects=about)


def _override(begun: OverrideBegun, name: str, address: str, trace: str) -> AuditEntry:
    """A security alert (PS3.15 A.5.3.11) with the reason as its description."""
    opened = begun.override
    about = AuditedInstances(opened.study, patient_id=opened.patient, issuer=opened.issuer)
    operation, requestor = f"open {opened.kind}", requestor_kind(name)
    return AuditEntry(
        AuditKind.OVERRIDE, operation, name, requestor, address, why=begun.reason, trace=trace, objects=(about,)
    )


def _by_override(caller: Caller, study: str) -> str:
    """The note in a record of a request by a caller with overrides."""
    if study and any(override.study == study for override in caller.overrides):
        return "opened by an override"
    return "an override is in force" if caller.overrides else ""


def _kind(match: Match) -> AuditKind | None:
    if match.resource is Resource.OPERATIONS:
        return _OPERATIONS.get(match.rest[0] if match.rest else "")
    return _READS.get(match.resource)


def _outcome(request: web.BaseRequest, status: int) -> int:
    if status < 400:
        return SUCCESS
    # A broken-off answer had begun: the access has happened.
    return FAILURE if status < 500 or request.get(BEGUN) else SERIOUS_FAILURE


def _entry(
    request: web.BaseRequest, match: Match, kind: AuditKind, name: str, address: str, outcome: int, why: str
) -> AuditEntry:
    # PS3.18 9.1.2.1.1: over WADO-URI the study is a parameter.
    study = match.study or request.query.get("studyUID", "")
    if match.resource in _OF_WORKITEMS:
        study = ""
    study = request[CALLER].copies_of.get(study, study)
    about = (AuditedInstances(study, instances=1 if match.instance else 0),) if is_uid(study) else ()
    made_by = request.get(DEIDENTIFIED_FOR)
    reason = "" if made_by is None else made_by.reason
    query, resource = b"", match.resource.name.lower()
    if kind in (AuditKind.QUERY, AuditKind.LOG_USED):
        query = request.rel_url.raw_query_string.encode()
    elif kind in (AuditKind.ORDER_READ, AuditKind.PROCEDURE_READ):
        query = "/".join(match.rest).encode()
    return AuditEntry(
        kind,
        f"{request.method} {resource.replace('_', ' ')}",
        name,
        requestor_kind(name),
        address,
        outcome=outcome,
        why=why or reason or _by_override(request[CALLER], study),
        trace=request.get(TRACE, ""),
        objects=about,
        query=query,
        query_class=resource if query else "",
        deidentified_by=request[CALLER].deidentified_by if made_by is None else made_by.profile,
    )
