"""YAML with its lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from gantry.common.config.document import parse, read
from gantry.common.errors import ConfigError

TEXT = """# a comment
dimse:
  port: 104      # ours

peers:
  - ae_title: A
    host: a
  - ae_title: "B"
"""


@pytest.mark.parametrize(
    ("location", "line"),
    [
        (["dimse"], 2),
        (["dimse", "port"], 3),
        (["peers"], 5),
        (["peers", 0], 6),
        (["peers", 0, "host"], 7),
        (["peers", 1, "ae_title"], 8),
        (["peers", 1, "host"], 8),  # the nearest thing around it
        (["peers", 5, "host"], 5),
        (["dimse", "port", "deeper"], 3),
        (["nothing"], None),
        ([], None),
    ],
)
def test_a_line_is_that_of_the_value_or_of_what_is_around_it(location: list[str | int], line: int | None) -> None:
    assert parse(TEXT, "f").line_of(location) == line


def test_a_value_that_an_edit_added_has_the_line_of_what_it_is_in() -> None:
    document = parse(TEXT, "f")
    document.tree["dimse"]["added"] = {"x": 1}
    assert document.line_of(["dimse", "added", "x"]) == 2


def test_a_document_keeps_comments_order_and_quotes() -> None:
    assert parse(TEXT, "f").text() == TEXT


def test_an_edit_changes_nothing_else() -> None:
    document = parse(TEXT, "f")
    document.tree["dimse"]["port"] = 105
    assert document.text() == TEXT.replace("104", "105")


def test_an_error_says_where() -> None:
    assert str(parse(TEXT, "f").refuse(["peers", 0, "host"], "no such host")) == "f:7: no such host"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"port": "many"}, "f:3: dimse.port: Input should be a valid integer"),
        ({"port": 1, "prot": 2}, "f:2: dimse.prot: unknown key"),
    ],
)
def test_a_complaint_of_the_model_has_its_place(values: dict[str, object], reason: str) -> None:
    class Model(BaseModel):
        model_config = ConfigDict(extra="forbid")
        port: int

    with pytest.raises(ValidationError) as error:
        Model.model_validate(values)
    assert str(parse(TEXT, "f").explain(error.value, ["dimse"])).startswith(reason)


def test_an_empty_file_is_an_empty_mapping() -> None:
    assert parse("", "f").tree == {}
    assert parse("# only a comment\n", "f").tree == {}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: [", "f:"),
        ("- a\n", "f:1: a mapping"),
        ("text", "f:1: a mapping"),
        ("a: 1\na: 2\n", "f:2:"),
        ("a: \0", "f:"),
    ],
)
def test_what_is_no_mapping_is_refused(text: str, place: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(text, "f")
    assert str(error.value).startswith(place)


@given(st.text("ab:-[]{}&*!|>'\"\n %@?,#", max_size=15))
def test_no_text_raises_anything_but_a_config_error(text: str) -> None:
    try:
        parse(text, "f")
    except ConfigError:
        pass


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.yaml", tmp_path):
        with pytest.raises(ConfigError) as error:
            read(path)
        assert error.value.file == str(path)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: \xe4\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read(latin)
