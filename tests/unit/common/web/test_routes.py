"""Which role answers what: `gantry.common.web.routes`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.web.errors import HttpProblem
from gantry.common.web.routes import BASE, SHAPES, Match, Resource, WebRole, allowed, find

CASES = [
    ("GET", "", Match(Resource.CAPABILITIES)),
    ("GET", "/", Match(Resource.CAPABILITIES)),
    ("GET", "/studies", Match(Resource.SEARCH_STUDIES)),
    ("GET", "/studies/count", Match(Resource.SEARCH_STUDIES, count=True)),
    ("POST", "/studies", Match(Resource.STORE)),
    ("POST", "/studies/1.2", Match(Resource.STORE, "1.2")),
    ("GET", "/series", Match(Resource.SEARCH_SERIES)),
    ("GET", "/instances", Match(Resource.SEARCH_INSTANCES)),
    ("GET", "/studies/1.2/series", Match(Resource.SEARCH_SERIES, "1.2")),
    ("GET", "/studies/1.2/series/count", Match(Resource.SEARCH_SERIES, "1.2", count=True)),
    ("GET", "/studies/1.2/instances", Match(Resource.SEARCH_INSTANCES, "1.2")),
    ("GET", "/studies/1.2/series/1.3/instances", Match(Resource.SEARCH_INSTANCES, "1.2", "1.3")),
    ("HEAD", "/studies/1.2", Match(Resource.OBJECTS, "1.2")),
    ("GET", "/studies/1.2/series/1.3", Match(Resource.OBJECTS, "1.2", "1.3")),
    ("GET", "/studies/1.2/series/1.3/instances/1.4", Match(Resource.OBJECTS, "1.2", "1.3", "1.4")),
    ("DELETE", "/studies/1.2/series/1.3", Match(Resource.DELETE, "1.2", "1.3")),
    ("POST", "/studies/1.2/restore", Match(Resource.RESTORE, "1.2")),
    ("POST", "/studies/1.2/series/1.3/instances/1.4/restore", Match(Resource.RESTORE, "1.2", "1.3", "1.4")),
    ("GET", "/permissions", Match(Resource.PERMISSIONS)),
    ("GET", "/workitems", Match(Resource.SEARCH_WORKITEMS)),
    ("POST", "/workitems/1.2/subscribers/BOARD", Match(Resource.SUBSCRIBE_WORKITEMS, "1.2", rest=("BOARD",))),
    ("DELETE", "/workitems/1.2/subscribers/A%20B", Match(Resource.UNSUBSCRIBE_WORKITEMS, "1.2", rest=("A B",))),
    ("GET", "/subscribers/BOARD", Match(Resource.WORKITEM_EVENTS, rest=("BOARD",))),
    ("POST", "/workitems", Match(Resource.CREATE_WORKITEM)),
    ("GET", "/workitems/1.2", Match(Resource.WORKITEM, rest=("1.2",))),
    ("POST", "/workitems/1.2/cancelrequest", Match(Resource.CHANGE_WORKITEM, rest=("1.2", "cancelrequest"))),
    ("PUT", "/workitems/1.2/state", Match(Resource.WORKITEM_STATE, rest=("1.2", "state"))),
    ("GET", "/studies/1.2/metadata", Match(Resource.METADATA, "1.2")),
    ("GET", "/studies/1.2/series/1.3/thumbnail", Match(Resource.THUMBNAIL, "1.2", "1.3")),
    ("GET", "/studies/1.2/series/1.3/instances/1.4/rendered", Match(Resource.RENDERED, "1.2", "1.3", "1.4")),
    ("GET", "/studies/1.2/series/1.3/instances/1.4/frames/1,2", Match(Resource.FRAMES, "1.2", "1.3", "1.4", "1,2")),
    (
        "GET",
        "/studies/1.2/series/1.3/instances/1.4/frames/7/rendered",
        Match(Resource.RENDERED, "1.2", "1.3", "1.4", "7"),
    ),
    (
        "GET",
        "/studies/1.2/series/1.3/instances/1.4/bulkdata/00091010/1/7FE00010",
        Match(Resource.BULK_DATA, "1.2", "1.3", "1.4", rest=("00091010", "1", "7FE00010")),
    ),
]


@pytest.mark.parametrize(("method", "path", "match"), CASES)
def test_path_is_of_a_resource(method: str, path: str, match: Match) -> None:
    assert find(method, BASE + path) == match


def test_every_shape_is_of_one_role_for_each_method() -> None:
    for resources in SHAPES.values():
        methods = [resource.method for resource in resources]
        assert len(methods) == len(set(methods))
    assert {resource.service for resource in Resource} == set(WebRole)


def test_wado_uri_is_beside_the_base() -> None:
    assert find("GET", "/wado") == Match(Resource.WADO_URI)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/studies/1.2/nothing", 404),
        ("GET", "/studies/..%2f..%2fetc", 400),
        ("GET", "/studies/1..2", 400),
        ("GET", "/studies/1.2/series/%00/metadata", 400),
        ("GET", f"/studies/{'1' * 65}", 400),
        ("GET", "/studies//series", 400),
        ("GET", "/studies/1.2/series/1.3/instances/1.4/bulkdata", 404),
        ("PUT", "/studies", 405),
        ("DELETE", "/studies", 405),
        ("DELETE", "/studies/1.2/metadata", 405),
        ("POST", "/studies/1.2/series", 405),
    ],
)
def test_path_is_refused(method: str, path: str, status: int) -> None:
    with pytest.raises(HttpProblem) as problem:
        find(method, BASE + path)
    assert problem.value.status == status


@pytest.mark.parametrize("path", ["/studies/1.2", "/studies/1.2/series/1.3", "/studies/1.2/series/1.3/instances/1.4"])
def test_what_is_retrieved_at_a_path_is_deleted_there(path: str) -> None:
    match, retrieved = find("DELETE", BASE + path), find("GET", BASE + path)
    assert (match.resource, match.resource.service) == (Resource.DELETE, WebRole.INGEST)
    assert (match.study, match.series, match.instance) == (retrieved.study, retrieved.series, retrieved.instance)


def test_methods_of_a_path() -> None:
    assert allowed(f"{BASE}/studies") == "GET, HEAD, OPTIONS, POST"
    assert allowed(f"{BASE}/studies/1.2/metadata") == "GET, HEAD, OPTIONS"


@given(st.text("abc/.%2f019{}*,", max_size=60), st.sampled_from(["GET", "POST", "DELETE", "BREW"]))
def test_any_path_is_a_match_or_a_problem(path: str, method: str) -> None:
    try:
        match = find(method, f"{BASE}/{path}")
    except HttpProblem as problem:
        assert problem.status in (400, 404, 405)  # noqa: PT017 (most raise nothing)
    else:
        assert match.resource.method == method
