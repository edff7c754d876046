"""Schemas of events on the log: one for each, as the repository has them, and what was ever written is of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import msgpack
import pytest

from gantry.common.events import Event
from gantry.common.events.event_schemas import event_schema
from tests.compat.events import EVENTS, golden

SCHEMAS = Path(__file__).parents[4] / "docs" / "schemas" / "events"
_TYPES = {"string": (str, bytes), "integer": (int,), "boolean": (bool,), "null": (type(None),), "array": (list,)}


def fits(value: object, schema: dict[str, Any]) -> bool:
    if "anyOf" in schema:
        return any(fits(value, branch) for branch in schema["anyOf"])
    if type(value) not in _TYPES[schema["type"]]:
        return False
    if isinstance(value, bytes):
        return schema.get("contentEncoding") == "binary"
    if isinstance(value, list):
        inner = schema.get("prefixItems") or [schema["items"]] * len(value)
        return len(inner) == len(value) and all(map(fits, value, inner))
    return True


def test_the_schema_files_are_those_of_the_events() -> None:
    assert {path.stem for path in SCHEMAS.iterdir()} == {cls.__name__ for cls in get_args(Event)}
    for cls in get_args(Event):
        assert json.loads((SCHEMAS / f"{cls.__name__}.json").read_text()) == event_schema(cls)


@pytest.mark.parametrize("name", EVENTS)
def test_every_golden_event_is_of_its_schema_and_no_field_of_it_has_gone(name: str) -> None:
    kind, _, body = msgpack.unpackb(golden(name).read_bytes())
    schema = json.loads((SCHEMAS / f"{kind}.json").read_text())
    assert set(body) <= set(schema["properties"])
    for field, value in body.items():
        assert fits(value, schema["properties"][field]), field
