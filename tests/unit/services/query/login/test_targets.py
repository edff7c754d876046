"""`gantry.services.query.login.targets`: after the login somebody is on a page of ours, whatever an address asked."""

import pytest

from gantry.services.query.login.targets import target_of


@pytest.mark.parametrize(
    "path", ["/", "/?q=doe%20jane", "/operations", "/operations/where?x=1", "/ohif/viewer?StudyInstanceUIDs=1.2.3"]
)
def test_page_of_ours_is_come_back_to(path: str) -> None:
    assert target_of(path) == path


@pytest.mark.parametrize(
    "asked",
    [
        *("", "x", "https://evil.example", "//evil.example", "///evil.example", "\\\\evil.example", "/\\evil.example"),
        *("/%2fevil.example", "/%2Fevil", "/%5cevil", "/%252fevil", "/ohif/%2e%2e//evil", "/ohif/../../evil"),
        *("/%0d%0aLocation:%20https://evil.example", "/\r\nSet-Cookie: a=b", "/ohif/\r\n", "/ohif/%0d%0a", "/ohif/x y"),
        *("javascript:alert(1)", "/dicom-web/studies", "/login", "/login/logout", "/metrics", "@evil.example"),
        *("/ohif/\u202e", "/?q=" + "x" * 2000, "/ohif/%5c%5cevil", "//operations", "http:/operations"),
    ],
)
def test_everything_else_leads_to_the_list(asked: str) -> None:
    assert target_of(asked) == "/"


def test_fragment_is_not_carried() -> None:
    assert target_of("/operations#x") == "/operations"
