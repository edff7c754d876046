"""`gantry.cli.peer_fields`: options of `gantry ae` as fields of a peer."""

from __future__ import annotations

import pytest

from gantry.cli.peer_fields import changed, fields_given, host_and_port, set_fields
from gantry.common.errors import ConfigError


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.9:104", ("192.0.2.9", 104)),
        ("192.0.2.9", ("192.0.2.9", None)),
        ("ct.example.org:11112", ("ct.example.org", 11112)),
        ("2001:db8::9", ("2001:db8::9", None)),
        ("[2001:db8::9]:104", ("2001:db8::9", 104)),
        ("[2001:db8::9]", ("2001:db8::9", None)),
    ],
)
def test_an_address_has_a_host_and_perhaps_a_port(address: str, expected: tuple[str, int | None]) -> None:
    assert host_and_port(address) == expected


@pytest.mark.parametrize(
    "address", ["192.0.2.9:0", "192.0.2.9:70000", "192.0.2.9:x", ":104", "ct:", "ct:" + "9" * 5000]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="not HOST"):
        host_and_port(address)


def test_any_field_can_be_set_as_the_file_has_it_and_taken_away() -> None:
    fields = set_fields(["sees=[{institution: [North]}]", "view=quality", "federated=true", "port=104", "from="])
    assert fields == {
        "sees": [{"institution": ["North"]}],
        "view": "quality",
        "federated": True,
        "port": 104,
        "from": None,
    }


@pytest.mark.parametrize("assignment", ["colour=red", "view", "=1", "ae_title=CT8", "addresses=[192.0.2.1]"])
def test_what_is_no_field_is_refused_by_name(assignment: str) -> None:
    with pytest.raises(ConfigError, match="is not a field of a peer"):
        set_fields([assignment])


def test_a_value_that_is_no_yaml_is_refused_with_its_field() -> None:
    with pytest.raises(ConfigError, match="--set sees"):
        set_fields(["sees=[{"])


def test_what_was_not_given_is_left_out() -> None:
    options = {"host": None, "port": None, "from": (), "may": ("store",), "tls": False}
    assert fields_given("192.0.2.9:104", options, []) == {
        "may": ["store"],
        "tls": False,
        "host": "192.0.2.9",
        "port": 104,
    }


def test_a_field_that_is_given_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="host is given twice"):
        fields_given("192.0.2.9", {"host": "192.0.2.8"}, [])
    with pytest.raises(ConfigError, match="port is given twice"):
        fields_given(None, {"port": 104}, ["port=105"])


def test_a_change_keeps_what_it_does_not_say() -> None:
    entry = {"ae_title": "CT9", "host": "192.0.2.9", "port": 104}
    assert changed(entry, {"host": "192.0.2.8", "port": None}) == {"ae_title": "CT9", "host": "192.0.2.8"}
    assert entry["port"] == 104
