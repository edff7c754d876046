"""`gantry.common.web.permitted`: roles and resources."""

import pytest

from gantry.common.access import EVERYTHING, FORMER_VERBS, NOTHING, CallerRole, Identity, Means, RoleTable, Sight, Verb
from gantry.common.access.share_passes import visitor
from gantry.common.access.sight import ORDINARY
from gantry.common.dicom.query.matching import Single
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.web.access import Caller
from gantry.common.web.errors import HttpProblem
from gantry.common.web.permitted import require
from gantry.common.web.routes import Resource
from gantry.common.web.verbs import VERBS


def caller(role: str, sight: Sight = EVERYTHING) -> Caller:
    identity = Identity("s", "sso:s", Means.ISSUER, frozenset((CallerRole(role),)))
    return Caller(None, "sso:s", False, identity, RoleTable().verbs_of(identity), sight)


def status_of(client: Caller, resource: Resource) -> int:
    try:
        require(client, resource)
    except HttpProblem as problem:
        return problem.status if 'error="insufficient_scope"' in problem.headers["WWW-Authenticate"] else 0
    return 200


@pytest.mark.parametrize("resource", [resource for resource in Resource if VERBS[resource] is not Verb.OVERRIDE])
def test_former_token_may_ask_for_everything_here_and_handlers_look_at_its_name(resource: Resource) -> None:
    assert status_of(Caller(None, "ris", verbs=FORMER_VERBS), resource) == 200


@pytest.mark.parametrize(
    ("role", "resource", "status"),
    [
        ("patient", Resource.OBJECTS, 200),
        ("patient", Resource.SEARCH_STUDIES, 200),
        ("patient", Resource.STORE, 403),
        ("patient", Resource.SEND, 403),
        ("patient", Resource.HISTORY, 403),
        ("patient", Resource.SEARCH_ORDERS, 403),
        ("technologist", Resource.STORE, 200),
        ("technologist", Resource.WORKITEM, 200),
        ("referrer", Resource.SEARCH_WORKITEMS, 403),
        ("patient", Resource.WORKITEM, 403),
        ("radiologist", Resource.WORKITEM_EVENTS, 200),
        ("referrer", Resource.WORKITEM_EVENTS, 403),
        ("technologist", Resource.CHANGE_FEED, 403),
        ("radiologist", Resource.CHANGE_FEED, 200),
        ("radiologist", Resource.OVERRIDE, 200),
        ("technologist", Resource.END_OVERRIDES, 200),
        ("technologist", Resource.OVERRIDES, 200),
        ("referrer", Resource.OVERRIDES, 403),
        ("referrer", Resource.OVERRIDE, 403),
        ("patient", Resource.OVERRIDE, 403),
        ("service", Resource.OVERRIDE, 403),
        ("radiologist", Resource.CREATE_SHARE, 200),
        ("service", Resource.SUBSCRIBE, 200),
        ("administrator", Resource.UNSUBSCRIBE, 200),
        ("administrator", Resource.SET_PEER, 200),
        ("administrator", Resource.REMOVE_PEER, 200),
    ],
)
def test_role_may_use_what_its_verbs_are_for(role: str, resource: Resource, status: int) -> None:
    assert status_of(caller(role), resource) == status


@pytest.mark.parametrize("resource", Resource)
def test_who_sees_some_studies_gets_nothing_that_tells_of_others(resource: Resource) -> None:
    """Whatever the role: the page, searches, and what is below one study."""
    restricted_status = status_of(caller("administrator", NOTHING), resource)
    passing = {
        *("SEARCH_STUDIES", "SEARCH_SERIES", "SEARCH_INSTANCES", "CAPABILITIES", "PERMISSIONS", "WADO_URI", "PAGE"),
        "STATES",
        *("LOGIN", "SESSION", "FHIR", "OVERRIDES", "OVERRIDE", "END_OVERRIDES", "SHARE", "ENTER_SHARE"),
        *("OBJECTS", "METADATA", "RENDERED", "THUMBNAIL", "FRAMES", "BULK_DATA", "HISTORY", "HOLDS", "HOLD"),
        *("RELEASE", "DELETE", "CORRECT", "WITHDRAW_CORRECTION"),
        *("SUBSCRIPTIONS", "SUBSCRIBE", "CHANGE_SUBSCRIPTION", "UNSUBSCRIBE"),
    }
    assert restricted_status == (200 if resource.name in passing else 403)


@pytest.mark.parametrize("resource", Resource)
def test_who_sees_all_but_what_is_confidential_may_store_and_send_besides(resource: Resource) -> None:
    more = {"STORE", "DESTINATIONS", "SEND", "TRANSFER", "CANCEL_TRANSFER"}
    ordinary = status_of(caller("administrator", Sight((ORDINARY, {STUDY_INSTANCE_UID: Single(("1.2",))}))), resource)
    restricted_status = status_of(caller("administrator", NOTHING), resource)
    assert ordinary == (200 if resource.name in more else restricted_status)


def test_page_that_everybody_gets_is_all_that_nobody_gets() -> None:
    nobody = Caller(None, verbs=frozenset((Verb.READ,)), sight=NOTHING)
    assert status_of(nobody, Resource.PAGE) == 200


VISITED = {
    *("SEARCH_STUDIES", "SEARCH_SERIES", "SEARCH_INSTANCES", "PERMISSIONS", "PAGE", "SHARE", "ENTER_SHARE"),
    *("METADATA", "RENDERED", "THUMBNAIL", "FRAMES", "BULK_DATA", "LOGIN", "SESSION"),
}


@pytest.mark.parametrize("downloads", [True, False])
@pytest.mark.parametrize("resource", Resource)
def test_who_came_by_a_link_sees_images_and_does_nothing_else(resource: Resource, downloads: bool) -> None:
    verbs = frozenset((Verb.READ,))
    guest = Caller(None, "share link s1", False, visitor("s1"), verbs, NOTHING, by_cookie=True, downloads=downloads)
    allowed = resource.name in VISITED or (downloads and resource in (Resource.OBJECTS, Resource.WADO_URI))
    if allowed:
        require(guest, resource)
        return
    with pytest.raises(HttpProblem) as refused:
        require(guest, resource)
    assert refused.value.status == (403 if resource in (Resource.OBJECTS, Resource.WADO_URI) else 404)
