"""`gantry.common.web.same_origin`: a cookie speaks for our own page only."""

from __future__ import annotations

import pytest

from gantry.common.web.same_origin import is_from_our_page, origin_of

OURS = "https://archive.example"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://archive.example/", "https://archive.example"),
        ("https://Archive.Example:443", "https://archive.example"),
        ("https://archive.example:8443", "https://archive.example:8443"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_origin_is_written_as_browsers_write_it(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    ("method", "headers", "ours"),
    [
        ("GET", {}, True),
        ("GET", {"Sec-Fetch-Site": "same-origin"}, True),
        ("GET", {"Sec-Fetch-Site": "none"}, True),
        ("GET", {"Sec-Fetch-Site": "same-site"}, False),
        ("GET", {"Sec-Fetch-Site": "cross-site"}, False),
        ("GET", {"Origin": "https://evil.example"}, False),
        ("GET", {"Upgrade": "websocket"}, False),
        ("GET", {"Upgrade": "websocket", "Origin": OURS}, True),
        ("GET", {"Upgrade": "websocket", "Sec-Fetch-Site": "same-origin"}, True),
        ("DELETE", {}, False),
        ("DELETE", {"Origin": OURS}, True),
        ("DELETE", {"Origin": OURS, "Sec-Fetch-Site": "same-origin"}, True),
        ("DELETE", {"Sec-Fetch-Site": "same-origin"}, True),
        ("DELETE", {"Origin": "null"}, False),
        ("DELETE", {"Origin": "null", "Sec-Fetch-Site": "same-origin"}, False),
        ("DELETE", {"Origin": "http://archive.example"}, False),
        ("DELETE", {"Origin": "https://archive.example.evil.example"}, False),
        ("DELETE", {"Sec-Fetch-Site": "none"}, False),
        ("POST", {"Origin": OURS, "Sec-Fetch-Site": "same-site"}, False),
        ("POST", {"Origin": OURS, "Sec-Fetch-Site": "cross-site"}, False),
    ],
)
def test_where_a_request_is_from(method: str, headers: dict[str, str], ours: bool) -> None:
    assert is_from_our_page(method, headers, OURS) is ours
