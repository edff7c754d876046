"""One base URL for several roles: method and shape of a path to the resource, and the role that answers for it. Pure.

PS3.18 10.1: the paths of Studies Service and Search. The front door forwards by this table, and a process with the
roles serves by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote

from gantry.common.ids import is_uid
from gantry.common.web.errors import HttpProblem

BASE = "/dicom-web"
WADO_URI = "/wado"
LOGIN = "/login"
SHARE = "/s"
PLACES = ("operations", "worklist", "shares", "audit")
"""Paths of the page, below /: the answer is the page itself, which shows what its address names."""
FHIR = "/fhir/r4"
FHIR_R5 = "/fhir/r5"
"""The same in FHIR R5."""
INVOKED = "/IHEInvokeImageDisplay"
"""IHE RAD-106: another system makes the page show a patient or study."""


class WebRole(Enum):
    """The role that answers; the values are the names of roles."""

    INGEST = "ingest"
    QUERY = "query"
    RETRIEVE = "retrieve"
    COMMITMENT = "commitment"
    ORDERS = "orders"


class Resource(Enum):
    """The resources, with the role that answers and the method it accepts (HEAD goes with GET)."""

    STORE = (WebRole.INGEST, "POST")
    """PS3.18 10.5; with a study in the path or without."""
    DELETE = (WebRole.INGEST, "DELETE")
    RESTORE = (WebRole.INGEST, "POST", "restore")
    """A study, a series or an instance is deleted, and restored. Extensions to DICOMweb."""
    CORRECT = (WebRole.INGEST, "POST", "corrections")
    WITHDRAW_CORRECTION = (WebRole.INGEST, "DELETE", "corrections")
    HISTORY = (WebRole.INGEST, "GET", "history")
    CORRECT_PATIENT = (WebRole.INGEST, "POST", "patients")
    """Attributes of studies, series and patients are corrected, patients merged; `rest` is the id of a correction, or
    the operation on a patient. Extensions to DICOMweb."""
    MOVE = (WebRole.INGEST, "POST", "moves")
    MOVE_BACK = (WebRole.INGEST, "DELETE", "moves")
    """Series and instances are moved to another study, and back; `rest` is the name of a move. Extensions to
    DICOMweb."""
    PERMISSIONS = (WebRole.INGEST, "GET", "permissions")
    """What the caller may change. An extension to DICOMweb."""
    HOLDS = (WebRole.INGEST, "GET", "holds")
    HOLD = (WebRole.INGEST, "POST", "holds")
    RELEASE = (WebRole.INGEST, "DELETE", "holds")
    """The holds on a study and its patient; placed and released. Extensions to DICOMweb."""
    OPERATIONS = (WebRole.INGEST, "GET", "operations")
    OPERATE = (WebRole.INGEST, "POST", "operations")
    SET_PEER = (WebRole.INGEST, "PUT", "operations")
    REMOVE_PEER = (WebRole.INGEST, "DELETE", "operations")
    """Health and operation of the archive (docs/operations.md); `rest` is the path. Not DICOM."""
    SEARCH_STUDIES = (WebRole.QUERY, "GET", "studies")
    SEARCH_SERIES = (WebRole.QUERY, "GET", "series")
    SEARCH_INSTANCES = (WebRole.QUERY, "GET", "instances")
    """PS3.18 10.6; `count` is a parameter."""
    STATES = (WebRole.QUERY, "GET", "states")
    """Special states of studies: holds, conflicts, rejections. An extension to DICOMweb."""
    CHANGES = (WebRole.QUERY, "GET", "changes")
    """Changes of studies, as they happen (text/event-stream). An extension to DICOMweb."""
    CHANGE_FEED = (WebRole.QUERY, "GET", "feed")
    """Everything that happened, from the beginning (docs/changes.md). An extension to DICOMweb."""
    CAPABILITIES = (WebRole.QUERY, "GET", "capabilities")
    OVERRIDES = (WebRole.QUERY, "GET", "overrides")
    OVERRIDE = (WebRole.QUERY, "POST", "overrides")
    END_OVERRIDES = (WebRole.QUERY, "DELETE", "overrides")
    """A study or patient is opened for a time (docs/access.md#breaking-the-glass). Extensions to DICOMweb."""
    CREATE_SHARE = (WebRole.QUERY, "POST", "shares")
    SHARES = (WebRole.QUERY, "GET", "shares")
    REVOKE_SHARE = (WebRole.QUERY, "DELETE", "shares")
    """Links for people outside (docs/sharing.md); `rest` is the name of a link. Extensions to DICOMweb."""
    SHARE = (WebRole.QUERY, "GET", "share")
    ENTER_SHARE = (WebRole.QUERY, "POST", "share")
    """A link is viewed, and opened; `rest` is its token. Not DICOM."""
    FHIR = (WebRole.QUERY, "GET", "fhir")
    FHIR_ORDERS = (WebRole.ORDERS, "GET", "fhir-orders")
    """Studies and patients, and orders, as resources of FHIR (docs/fhir.md); `rest` is the path below the base of R4 or
    R5."""
    SUBSCRIPTIONS = (WebRole.QUERY, "GET", "subscriptions")
    SUBSCRIBE = (WebRole.QUERY, "POST", "subscriptions")
    CHANGE_SUBSCRIPTION = (WebRole.QUERY, "PUT", "subscriptions")
    UNSUBSCRIBE = (WebRole.QUERY, "DELETE", "subscriptions")
    """Subscriptions to studies (docs/fhir.md#subscriptions); `rest` is the path below /fhir/r4."""
    OBJECTS = (WebRole.RETRIEVE, "GET", "objects")
    """PS3.18 10.4: the instances of a study or series, or one."""
    DEIDENTIFIED = (WebRole.RETRIEVE, "GET", "deidentified")
    """De-identified copies of a study. An extension to DICOMweb."""
    METADATA = (WebRole.RETRIEVE, "GET", "metadata")
    RENDERED = (WebRole.RETRIEVE, "GET", "rendered")
    THUMBNAIL = (WebRole.RETRIEVE, "GET", "thumbnail")
    FRAMES = (WebRole.RETRIEVE, "GET", "frames")
    BULK_DATA = (WebRole.RETRIEVE, "GET", "bulkdata")
    DESTINATIONS = (WebRole.RETRIEVE, "GET", "destinations")
    SEND = (WebRole.RETRIEVE, "POST", "send")
    TRANSFER = (WebRole.RETRIEVE, "GET", "transfer")
    CANCEL_TRANSFER = (WebRole.RETRIEVE, "DELETE", "transfer")
    """Studies are sent to C-MOVE destinations. Extensions to DICOMweb; `rest` is the id of a transfer."""
    COMMITMENT = (WebRole.COMMITMENT, "POST", "commitment")
    COMMITMENT_RESULT = (WebRole.COMMITMENT, "GET", "commitment")
    """PS3.18 13; `rest` is the Transaction UID."""
    SEARCH_ORDERS = (WebRole.ORDERS, "GET", "search-orders")
    PLACE_ORDER = (WebRole.ORDERS, "POST", "orders")
    ORDER = (WebRole.ORDERS, "GET", "order")
    CHANGE_ORDER = (WebRole.ORDERS, "PATCH", "orders")
    CANCEL_ORDER = (WebRole.ORDERS, "DELETE", "orders")
    LINK_STUDY = (WebRole.ORDERS, "POST", "link-study")
    """Orders (docs/orders.md); `rest` is the key of an order, and `history`, or `studies` and a UID. Extensions to
    DICOMweb."""
    SEARCH_WORKITEMS = (WebRole.ORDERS, "GET", "search-workitems")
    CREATE_WORKITEM = (WebRole.ORDERS, "POST", "workitems")
    WORKITEM = (WebRole.ORDERS, "GET", "workitem")
    CHANGE_WORKITEM = (WebRole.ORDERS, "POST", "workitem")
    WORKITEM_STATE = (WebRole.ORDERS, "PUT", "workitem")
    ERASE_WORKITEM = (WebRole.ORDERS, "DELETE", "workitem")
    """PS3.18 11: worklist service; `rest` is the path below `workitems`."""
    SUBSCRIBE_WORKITEMS = (WebRole.ORDERS, "POST", "workitem-subscribers")
    UNSUBSCRIBE_WORKITEMS = (WebRole.ORDERS, "DELETE", "workitem-subscribers")
    WORKITEM_EVENTS = (WebRole.ORDERS, "GET", "subscribers")
    """PS3.18 11.10 to 11.12, and 8.10.4: `study` is the UID of a workitem, or a well-known one, `rest` the AE title."""
    MESSAGES = (WebRole.ORDERS, "GET", "messages")
    DECIDE_MESSAGE = (WebRole.ORDERS, "POST", "messages")
    """HL7 messages in quarantine (docs/hl7.md); `rest` is the path. Not DICOM."""
    WADO_URI = (WebRole.RETRIEVE, "GET", "wado")
    """PS3.18 9."""
    PAGE = (WebRole.QUERY, "GET", "page")
    """The study list, and OHIF; `rest` is the path. Not DICOMweb: a page is read before it can send a token."""
    LOGIN = (WebRole.QUERY, "GET", "login")
    SESSION = (WebRole.QUERY, "POST", "login")
    """Login of people in a browser, and their sessions; `rest` is the path below /login. Not DICOM."""

    @property
    def service(self) -> WebRole:
        """The role that answers."""
        service: WebRole = self.value[0]
        return service

    @property
    def method(self) -> str:
        """The method that the resource accepts."""
        method: str = self.value[1]
        return method


@dataclass(frozen=True, slots=True)
class Match:
    """A resource, and the UIDs of its path. UIDs are checked; `rest` is the path after `bulkdata`, `transfers`,
    `corrections`, `patients`, `operations`, `orders`, `workitems`, `hl7` or `commitment-requests`, and `frames` the
    list as it was written."""

    resource: Resource
    study: str = ""
    series: str = ""
    instance: str = ""
    frames: str = ""
    rest: tuple[str, ...] = ()
    count: bool = False


OF_SUBSCRIPTIONS = (
    *(Resource.SUBSCRIPTIONS, Resource.SUBSCRIBE),
    *(Resource.CHANGE_SUBSCRIPTION, Resource.UNSUBSCRIBE),
)
_NAMES = ("study", "series", "instance")
# Shapes: a name stands for itself, {} for a UID (of study, series, instance, in this order), {frames} and {*} as named.
_SEARCHES = {
    "studies": Resource.SEARCH_STUDIES,
    "series": Resource.SEARCH_SERIES,
    "instances": Resource.SEARCH_INSTANCES,
    "studies/{}/series": Resource.SEARCH_SERIES,
    "studies/{}/instances": Resource.SEARCH_INSTANCES,
    "studies/{}/series/{}/instances": Resource.SEARCH_INSTANCES,
}
_LEVELS = ("studies/{}", "studies/{}/series/{}", "studies/{}/series/{}/instances/{}")
SHAPES: Mapping[str, tuple[Resource, ...]] = {
    "": (Resource.CAPABILITIES,),
    **{path: (search,) for path, search in _SEARCHES.items()},
    **{f"{path}/count": (search,) for path, search in _SEARCHES.items()},
    "studies/states": (Resource.STATES,),
    "changes": (Resource.CHANGE_FEED,),
    "changes/studies": (Resource.CHANGES,),
    "permissions": (Resource.PERMISSIONS,),
    "overrides": (Resource.OVERRIDES, Resource.OVERRIDE, Resource.END_OVERRIDES),
    "shares": (Resource.SHARES, Resource.CREATE_SHARE),
    "shares/{*}": (Resource.REVOKE_SHARE,),
    "destinations": (Resource.DESTINATIONS,),
    "studies/{}/send": (Resource.SEND,),
    "studies/{}/deidentified": (Resource.DEIDENTIFIED,),
    "commitment-requests/{*}": (Resource.COMMITMENT, Resource.COMMITMENT_RESULT),
    "hl7/{*}": (Resource.MESSAGES, Resource.DECIDE_MESSAGE),
    "orders": (Resource.SEARCH_ORDERS, Resource.PLACE_ORDER),
    "orders/{*}": (Resource.ORDER, Resource.CHANGE_ORDER, Resource.CANCEL_ORDER, Resource.LINK_STUDY),
    "workitems": (Resource.SEARCH_WORKITEMS, Resource.CREATE_WORKITEM),
    "workitems/{}/subscribers/{*}": (Resource.SUBSCRIBE_WORKITEMS, Resource.UNSUBSCRIBE_WORKITEMS),
    "subscribers/{*}": (Resource.WORKITEM_EVENTS,),
    "workitems/{*}": (
        Resource.WORKITEM,
        Resource.CHANGE_WORKITEM,
        Resource.WORKITEM_STATE,
        Resource.ERASE_WORKITEM,
    ),
    "transfers/{*}": (Resource.TRANSFER, Resource.CANCEL_TRANSFER),
    "studies": (Resource.SEARCH_STUDIES, Resource.STORE),
    **dict.fromkeys(_LEVELS, (Resource.OBJECTS, Resource.DELETE)),
    "studies/{}": (Resource.OBJECTS, Resource.STORE, Resource.DELETE),
    **{f"{level}/restore": (Resource.RESTORE,) for level in _LEVELS},
    **{f"{level}/corrections": (Resource.CORRECT,) for level in _LEVELS[:2]},
    "studies/{}/corrections/{*}": (Resource.WITHDRAW_CORRECTION,),
    **{f"{level}/moves": (Resource.MOVE, Resource.MOVE_BACK) for level in _LEVELS},
    "studies/{}/moves/{*}": (Resource.MOVE_BACK,),
    "studies/{}/history": (Resource.HISTORY,),
    "studies/{}/holds": (Resource.HOLDS, Resource.HOLD, Resource.RELEASE),
    "patients/{*}": (Resource.CORRECT_PATIENT,),
    "operations/{*}": (Resource.OPERATIONS, Resource.OPERATE, Resource.SET_PEER, Resource.REMOVE_PEER),
    **{f"{level}/metadata": (Resource.METADATA,) for level in _LEVELS},
    **{f"{level}/rendered": (Resource.RENDERED,) for level in _LEVELS},
    **{f"{level}/thumbnail": (Resource.THUMBNAIL,) for level in _LEVELS},
    f"{_LEVELS[2]}/frames/{{frames}}": (Resource.FRAMES,),
    f"{_LEVELS[2]}/frames/{{frames}}/rendered": (Resource.RENDERED,),
    f"{_LEVELS[2]}/frames/{{frames}}/thumbnail": (Resource.THUMBNAIL,),
    f"{_LEVELS[2]}/bulkdata/{{*}}": (Resource.BULK_DATA,),
}
"""Below the base URL, the more specific before the more general."""
_PATTERNS = [(tuple(shape.split("/")) if shape else (), resources) for shape, resources in SHAPES.items()]


def is_ours(raw_path: str) -> bool:
    """Whether a path belongs to this table, valid or not."""
    below = (f"{BASE}/", f"{FHIR}/", f"{FHIR_R5}/")
    return raw_path in (BASE, WADO_URI, FHIR, FHIR_R5) or raw_path.startswith(below) or is_page(raw_path)


def fhir_base(raw_path: str) -> str:
    """The base of FHIR that a path is below, `FHIR` or `FHIR_R5`; "" for none."""
    return next((base for base in (FHIR, FHIR_R5) if raw_path == base or raw_path.startswith(f"{base}/")), "")


def is_page(raw_path: str) -> bool:
    """Whether a path is one of our page, any of its places, of OHIF, of login, or of a link: requested by callers
    without a token."""
    return (
        raw_path in ("/", "/ohif", INVOKED, *(f"/{place}" for place in PLACES))
        or raw_path.startswith(("/viewer/", "/ohif/", *(f"/{place}/" for place in PLACES)))
        or is_login(raw_path)
        or is_share(raw_path)
    )


def is_login(raw_path: str) -> bool:
    """Whether a path is one of login."""
    return raw_path == LOGIN or raw_path.startswith(f"{LOGIN}/")


def is_share(raw_path: str) -> bool:
    """Whether a path is that of a link for people outside."""
    return raw_path.startswith(f"{SHARE}/")


def find(method: str, raw_path: str) -> Match:
    """The resource of a request. `raw_path` is as it was sent, without the query.

    Raises `HttpProblem`: 404 for a path without a resource, 400 for an invalid UID, 405 for a method that the resource
    does not accept.
    """
    if raw_path == WADO_URI:
        return _with_method(method, [Match(Resource.WADO_URI)], raw_path)
    base = fhir_base(raw_path)
    if base:
        rest = _decoded(raw_path.removeprefix(base).strip("/"))
        if rest[:1] == ("Subscription",):
            return _with_method(method, [Match(resource, rest=rest) for resource in OF_SUBSCRIPTIONS], raw_path)
        resource = Resource.FHIR_ORDERS if rest[:1] == ("ServiceRequest",) else Resource.FHIR
        return _with_method(method, [Match(resource, rest=rest)], raw_path)
    if is_login(raw_path):
        below = tuple(unquote(part) for part in raw_path.removeprefix(LOGIN).split("/")[1:])
        return _with_method(method, [Match(Resource.LOGIN, rest=below), Match(Resource.SESSION, rest=below)], raw_path)
    if is_share(raw_path):
        token = (unquote(raw_path.removeprefix(f"{SHARE}/")),)
        return _with_method(
            method, [Match(Resource.SHARE, rest=token), Match(Resource.ENTER_SHARE, rest=token)], raw_path
        )
    if is_page(raw_path):
        rest = tuple(unquote(part) for part in raw_path.strip("/").split("/"))
        return _with_method(method, [Match(Resource.PAGE, rest=rest)], raw_path)
    path = raw_path[len(BASE) :].strip("/")
    parts = _decoded(path)
    for shape, resources in _PATTERNS:
        values = _fit(shape, parts)
        if values is not None:
            return _with_method(method, [_match(resource, values, shape) for resource in resources], raw_path)
    raise HttpProblem(404, "no such resource")


def _decoded(path: str) -> tuple[str, ...]:
    """The parts of a path, each decoded by itself: an encoded slash does not split a part."""
    return tuple(unquote(part) for part in path.split("/")) if path else ()


def allowed(raw_path: str) -> str:
    """The methods of a path, for Allow and for preflights. Raises `HttpProblem` 404."""
    try:
        find("", raw_path)
    except HttpProblem as problem:
        if problem.status == 405:
            return problem.headers["Allow"]
        raise
    raise AssertionError("no resource takes an empty method")


def _fit(shape: tuple[str, ...], parts: tuple[str, ...]) -> dict[str, str | tuple[str, ...]] | None:
    if shape[-1:] == ("{*}",):
        named = len(shape) - 1
        head = _fit(shape[:-1], parts[:named]) if len(parts) > named else None
        return None if head is None else {**head, "rest": parts[named:]}
    if len(shape) != len(parts):
        return None
    values: dict[str, str | tuple[str, ...]] = {}
    names = iter(_NAMES)
    for expected, part in zip(shape, parts, strict=True):
        if expected == "{}":
            values[next(names)] = part
        elif expected == "{frames}":
            values["frames"] = part
        elif expected != part:
            return None
    return values


def _match(resource: Resource, values: Mapping[str, str | tuple[str, ...]], shape: tuple[str, ...]) -> Match:
    for name in _NAMES:
        if name in values and not is_uid(str(values[name])):
            raise HttpProblem(400, f"the {name} in the path is not a uid")
    return Match(resource, count=shape[-1:] == ("count",), **values)  # type: ignore[arg-type]  # by name


def _with_method(method: str, matches: list[Match], raw_path: str) -> Match:
    wanted = "GET" if method == "HEAD" else method
    for match in matches:
        if match.resource.method == wanted:
            return match
    methods = {match.resource.method for match in matches} | {"OPTIONS"}
    allow = ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
    raise HttpProblem(405, f"{method} is not a method of this resource", {"Allow": allow})
