"""Pages are not DICOMweb: with tokens anybody may read them, without only this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from gantry.common.web.access import AccessControl, Tokens
from gantry.common.web.errors import HttpProblem
from gantry.common.web.routes import Resource, find, is_page

HERE = {"Host": "localhost:8080"}


@pytest.mark.parametrize(
    "path", ["/", "/viewer/page/app.js", "/ohif", "/ohif/", "/ohif/viewer", "/operations", "/operations/where"]
)
def test_the_paths_of_pages_are_found(path: str) -> None:
    assert is_page(path)
    assert find("GET", path).resource is Resource.PAGE
    with pytest.raises(HttpProblem) as refused:
        find("POST", path)
    assert refused.value.status == 405


@pytest.mark.parametrize("path", ["/dicom-web/studies", "/wado", "/viewerx", "/ohifx", "/operationsx", "/metrics", ""])
def test_other_paths_are_none(path: str) -> None:
    assert not is_page(path)


def test_without_tokens_only_this_machine_gets_pages() -> None:
    access = AccessControl(Tokens(None))
    assert access.admit_to_page("127.0.0.1", HERE).name == ""
    with pytest.raises(HttpProblem) as refused:
        access.admit_to_page("192.0.2.7", HERE)
    assert refused.value.status == 403


def test_with_tokens_anybody_gets_pages_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("ward:0123456789abcdef\n")
    access = AccessControl(Tokens(file))
    assert str(access.admit_to_page("192.0.2.7", {}).address) == "192.0.2.7"
    with pytest.raises(HttpProblem) as refused:
        access.admit("192.0.2.7", {})
    assert refused.value.status == 401


@pytest.mark.parametrize(
    ("method", "path", "resource", "rest"),
    [
        ("GET", "/login", Resource.LOGIN, ()),
        ("GET", "/login/callback", Resource.LOGIN, ("callback",)),
        ("POST", "/login/logout", Resource.SESSION, ("logout",)),
    ],
)
def test_the_paths_of_login_are_found(method: str, path: str, resource: Resource, rest: tuple[str, ...]) -> None:
    match = find(method, path)
    assert (match.resource, match.rest) == (resource, rest)
    assert is_page(path)
    assert not is_page("/loginx")
