"""The settings of HL7 receivers."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from gantry.common.config.hl7_receiver_sections import Hl7Charset
from gantry.common.config.routing_sections import RoutingSettings
from gantry.common.hl7.writing import MessageCharset

RECEIVER = {"name": "RIS", "host": "192.0.2.30", "port": 2575}
RULE = {"name": "all", "notify": ["RIS"]}
SERVER = {"name": "RIS", "url": "https://x.example"}


def routing(receiver: dict[str, Any] | None = None, **more: Any) -> RoutingSettings:
    return RoutingSettings.model_validate({"receivers": [RECEIVER | (receiver or {})], "rules": [RULE], **more})


def test_a_receiver_is_told_by_a_rule() -> None:
    (receiver,) = routing({"link": "https://pacs.example/v?s={study}"}).receivers
    assert (receiver.name, receiver.tls, receiver.charset) == ("RIS", False, "UNICODE UTF-8")
    assert routing(rules=[RULE | {"corrections": True}]).rules[0].corrections


def test_every_character_set_can_be_written() -> None:
    for name in get_args(Hl7Charset):
        assert MessageCharset(name).holds("A")


@pytest.mark.parametrize(
    ("receiver", "words"),
    [
        pytest.param({"ca_file": "/x"}, "are for `tls: true`", id="trust without tls"),
        pytest.param({"tls": True, "key_file": "/x"}, "key_file needs cert_file", id="a key alone"),
        pytest.param({"charset": "UNICODE UTF-16"}, "charset", id="what cannot be framed"),
        pytest.param({"link": "file:///x?{study}"}, "not the URL of a page", id="a file"),
        pytest.param({"link": "https://pacs.example/v"}, "does not name the study", id="a link to nothing"),
        pytest.param({"application": "A\nB"}, "application", id="a line end"),
        pytest.param({"host": "a b"}, "host", id="no host"),
        pytest.param({"port": 0}, "port", id="no port"),
    ],
)
def test_what_cannot_be_told_is_refused_in_words(receiver: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        routing(receiver)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        pytest.param({"rules": [{"name": "all", "to": ["RIS"]}]}, "`to` of a rule", id="objects"),
        pytest.param({"steps": [{"name": "ris", "notify": ["RIS"]}]}, "`steps`", id="steps"),
        pytest.param({"prefetch": [{"name": "p", "ask": ["RIS"]}]}, "`prefetch`", id="prefetch"),
        pytest.param({"finish_moves": ["RIS"]}, "`finish_moves`", id="moves"),
        pytest.param({"receivers": [RECEIVER, RECEIVER]}, "the same name", id="twice"),
        pytest.param(
            {"servers": [SERVER], "rules": []},
            "both called RIS",
            id="a server, too",
        ),
        pytest.param(
            {"rules": [{"name": "all", "notify": ["OTHER"], "corrections": True}]}, "none is in its", id="corrections"
        ),
    ],
)
def test_a_receiver_is_told_of_studies_alone(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        routing(**more)
