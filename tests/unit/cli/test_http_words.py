"""`gantry.cli.http_words`."""

from __future__ import annotations

import ssl
from errno import ECONNREFUSED
from types import SimpleNamespace
from typing import cast

import pytest
from aiohttp import ClientConnectorError, ClientPayloadError
from aiohttp.client_reqrep import ConnectionKey

from gantry.cli.http_words import words_of


def not_connected(cause: OSError) -> ClientConnectorError:
    return ClientConnectorError(cast("ConnectionKey", SimpleNamespace(host="192.0.2.9", port=443, ssl=True)), cause)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            not_connected(OSError(ECONNREFUSED, "Connect call failed ('192.0.2.9', 443)")),
            "192.0.2.9:443: Connection refused",
        ),
        (not_connected(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")), "wrong version number"),
        (not_connected(OSError("no address")), "no address"),
        (ClientPayloadError("cut off"), "cut off"),
        (TimeoutError(), "TimeoutError"),
    ],
    ids=["refused", "TLS", "no number", "another", "without words"],
)
def test_an_error_is_told_in_the_words_that_say_what_to_do(error: Exception, words: str) -> None:
    assert words in words_of(error)
