"""Settings of three sources: the later wins, and each names itself where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gantry.common.config.load import load_settings, plain
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError

PORTS = st.none() | st.integers(1, 65535)


@given(PORTS, PORTS)
def test_the_command_line_wins_over_the_environment(variable: int | None, option: int | None) -> None:
    environment = {} if variable is None else {"GANTRY_DIMSE__PORT": str(variable)}
    expected = option or variable or Settings().dimse.port
    assert load_settings(None, environment, {"dimse.port": option}).dimse.port == expected


@pytest.mark.parametrize("text", ["1.2.3,1.2.4", "[1.2.3, 1.2.4]", " 1.2.3 , 1.2.4,", '["1.2.3","1.2.4"]'])
def test_a_list_needs_no_brackets_in_the_environment(text: str) -> None:
    settings = load_settings(None, {"GANTRY_DIMSE__PRIVATE_SOP_CLASSES": text})
    assert settings.dimse.private_sop_classes == ("1.2.3", "1.2.4")


def test_an_empty_variable_is_an_empty_list() -> None:
    assert load_settings(None, {"GANTRY_DIMSE__PRIVATE_SOP_CLASSES": ""}).dimse.private_sop_classes == ()


@pytest.mark.parametrize("variable", ["PATH", "GANTRY_FAILPOINTS", "GANTRY_DIMSE", "gantry_dimse__port", "GANTRY_"])
def test_what_is_no_setting_is_left_alone(variable: str) -> None:
    assert load_settings(None, {variable: "nonsense"}) == Settings()


def test_the_policy_may_stand_in_the_same_file(tmp_path: Path) -> None:
    file = tmp_path / "gantry.yaml"
    file.write_text("peers:\n  - anything: {at: all}\ndimse:\n  port: 105\n")
    assert load_settings(file, {}).dimse.port == 105


def test_what_belongs_together_may_come_from_two_variables(tmp_path: Path) -> None:
    """A certificate is of no use without its key, and neither comes first."""
    names = {"GANTRY_TLS__CERTIFICATE": "a.pem", "GANTRY_TLS__KEY": "a.key", "GANTRY_TLS__CA": "ca.pem"}
    assert load_settings(None, names).tls.certificate is not None
    with pytest.raises(ConfigError, match="needed together"):
        load_settings(None, {"GANTRY_TLS__CERTIFICATE": "a.pem"})


@pytest.mark.parametrize(
    ("environment", "options", "source"),
    [
        ({"GANTRY_DIMSE__PORT": "many"}, {}, "environment variable GANTRY_DIMSE__PORT"),
        ({"GANTRY_DIMSE__AE_TITLE": "OK", "GANTRY_DIMSE__PORT": "0.5"}, {}, "environment variable GANTRY_DIMSE__PORT"),
        ({}, {"dimse.port": 70_000}, "option for dimse.port"),
        ({"GANTRY_DIMSE__PORT": "104"}, {"dimse.ae_title": "A\\B"}, "option for dimse.ae_title"),
    ],
)
def test_an_error_names_the_source_that_is_at_fault(
    environment: dict[str, str], options: dict[str, object], source: str
) -> None:
    with pytest.raises(ConfigError) as error:
        load_settings(None, environment, options)
    assert error.value.file == source


def test_an_error_in_the_file_is_not_blamed_on_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "gantry.yaml"
    file.write_text("dimse:\n  port: many\n")
    with pytest.raises(ConfigError) as error:
        load_settings(file, {"GANTRY_DIMSE__PORT": "104"})
    assert (error.value.file, error.value.line) == (str(file), 2)


def test_plain_values_are_pythons_own() -> None:
    tree = YAML(typ="rt", pure=True).load("a: {b: [1, {c: d}]}\n")
    values = plain(tree)
    assert values == {"a": {"b": [1, {"c": "d"}]}}
    assert type(values) is type(values["a"]) is dict
    assert type(values["a"]["b"]) is list
