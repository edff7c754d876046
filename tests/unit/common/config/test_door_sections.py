"""What a door's settings refuse, so that nobody's images can go to another organisation."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gantry.common.config.door_sections import DoorSettings, PartitionSettings


def two(north: dict[str, Any], south: dict[str, Any]) -> dict[str, Any]:
    return {"partitions": [{"name": "north", "settings": "n", **north}, {"name": "south", "settings": "s", **south}]}


def test_a_door_knows_the_pools_that_have_somebody() -> None:
    door = DoorSettings(query=("q:1",), http_query=("q:2",), mixed=("m:1",))
    assert door.pools == {"query": ("q:1",), "mixed": ("m:1",)}
    assert door.web_pools == {"query": ("q:2",)}


def test_partitions_with_signs_of_their_own_are_taken() -> None:
    door = DoorSettings.model_validate(
        two(
            {"port": 104, "tls_port": 2762, "networks": ["192.0.2.0/25"], "hosts": ["north.example"], "path": "/north"},
            {"port": 105, "networks": ["192.0.2.128/25", "2001:db8::/32"], "certificates": ["mr.south"]},
        )
    )
    assert [partition.name for partition in door.partitions] == ["north", "south"]
    assert door.partitions[0].networks == (ip_network("192.0.2.0/25"),)
    assert door.partitions[0].settings == Path("n")


@pytest.mark.parametrize(
    ("north", "south", "reason"),
    [
        ({"name": "south"}, {}, "the same name"),
        ({"settings": "s"}, {}, "the same settings"),
        ({"port": 104}, {"port": 104}, "the same port: 104"),
        ({"port": 104}, {"tls_port": 104}, "the same port: 104"),
        ({"certificates": ["a", "b"]}, {"certificates": ["b"]}, "the same certificate: b"),
        ({"hosts": ["pacs.example"]}, {"hosts": ["pacs.example"]}, "the same host"),
        ({"path": "/a"}, {"path": "/a"}, "the same path"),
        ({"networks": ["192.0.2.0/24"]}, {"networks": ["192.0.2.128/25"]}, "share addresses"),
    ],
)
def test_a_sign_of_two_partitions_is_refused(north: dict[str, Any], south: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        DoorSettings.model_validate(two(north, south))


@pytest.mark.parametrize("path", ["north", "/", "/North", "/a/b", "/..", "/north/", "/%6e"])
def test_a_path_is_one_plain_segment(path: str) -> None:
    with pytest.raises(ValidationError):
        PartitionSettings(name="north", settings=Path("n"), path=path)


def test_one_port_is_not_both_plain_and_tls() -> None:
    with pytest.raises(ValidationError, match="are the same"):
        PartitionSettings(name="north", settings=Path("n"), port=104, tls_port=104)


def test_a_door_of_partitions_has_no_processes_of_its_own() -> None:
    with pytest.raises(ValidationError, match="own settings file names"):
        DoorSettings.model_validate({**two({}, {}), "mixed": ["m:1"]})
