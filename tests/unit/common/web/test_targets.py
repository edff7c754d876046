"""Targets of requests in each form that RFC 9112 3.2 has."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from gantry.common.web.targets import host_in, target_of


@pytest.mark.parametrize(
    ("sent", "target", "host"),
    [
        ("/dicom-web/studies?a=%20b", "/dicom-web/studies?a=%20b", "h.example:80"),
        ("http://a.example/dicom-web/studies?a=%20b", "/dicom-web/studies?a=%20b", "a.example"),
        ("http://user@a.example:81/x", "/x", "a.example:81"),
        ("http://a.example?x", "/?x", "a.example"),
        ("//a.example/x", "//a.example/x", "h.example:80"),
        ("*", "*", "h.example:80"),
    ],
)
def test_path_and_host_are_found_in_any_form(sent: str, target: str, host: str) -> None:
    request = make_mocked_request("GET", sent, headers={"Host": "h.example:80"})
    assert target_of(request) == target
    assert host_in(request) == host
