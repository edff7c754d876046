"""Web servers that objects are sent to: what settings may say of them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gantry.common.config.routing_sections import RoutingSettings

SERVER = {"name": "CLOUD", "url": "https://pacs.example/dicom-web"}
RULE = {"name": "all", "to": ["CLOUD"]}


def routing(server: dict[str, Any] | None = None, **more: Any) -> RoutingSettings:
    return RoutingSettings.model_validate({"servers": [SERVER | (server or {})], "rules": [RULE], **more})


def test_a_server_is_a_destination_of_a_rule() -> None:
    (server,) = routing().servers
    assert (server.name, server.host, server.plain) == ("CLOUD", "pacs.example", False)
    assert routing({"url": "http://127.0.0.1:80/x", "plain": True}).servers[0].host == "127.0.0.1"


@pytest.mark.parametrize(
    ("server", "words"),
    [
        pytest.param({"url": "http://pacs.example"}, "encrypts nothing", id="http"),
        pytest.param({"url": "ftp://pacs.example"}, "not an https address", id="another scheme"),
        pytest.param({"url": "https://"}, "not an https address", id="no host"),
        pytest.param({"url": "https://pacs.example/a b"}, "not an https address", id="a space"),
        pytest.param({"url": "https://me:secret@pacs.example"}, "belongs in token_file", id="a password"),
        pytest.param({"url": "https://pacs.example?token=1"}, "belongs in token_file", id="a query"),
        pytest.param({"key_file": "/x"}, "key_file needs cert_file", id="a key alone"),
        pytest.param(
            {"url": "http://pacs.example", "plain": True, "ca_file": "/x"}, "are for https", id="trust without tls"
        ),
        pytest.param({"transfer_syntax": "1.2.840.10008.1.2.4.50"}, "transfer_syntax", id="compressing"),
        pytest.param({"name": "a name of more than 16"}, "name", id="a long name"),
        pytest.param({"max_request": 0}, "max_request", id="nothing in a request"),
    ],
)
def test_what_cannot_be_reached_safely_is_refused_in_words(server: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        routing(server)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        pytest.param({"rules": [{"name": "all", "notify": ["CLOUD"]}]}, "`notify`", id="notify"),
        pytest.param({"steps": [{"name": "ris", "to": ["CLOUD"]}]}, "`steps`", id="steps"),
        pytest.param({"prefetch": [{"name": "p", "ask": ["CLOUD"]}]}, "`prefetch`", id="prefetch"),
        pytest.param({"finish_moves": ["CLOUD"]}, "`finish_moves`", id="moves"),
        pytest.param({"rules": [RULE | {"commit": True}]}, "no storage commitment", id="commit"),
        pytest.param({"servers": [SERVER, SERVER]}, "the same name", id="twice"),
    ],
)
def test_a_server_gets_objects_alone(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        routing(**more)
