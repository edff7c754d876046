"""JSON Schemas of events as they lie on the log, for consumers of the Kafka topics: made of the dataclasses (pure)."""

from __future__ import annotations

import types
from dataclasses import fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from gantry.common.events.codec import SCHEMA_VERSION
from gantry.common.events.schema import Event

_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    bytes: {"type": "string", "contentEncoding": "binary"},
    type(None): {"type": "null"},
}


def event_schema(cls: type[Event]) -> dict[str, Any]:
    """The schema of the third item of `[name, version, {field: value}]`. A nested value is an array of its fields, in
    their order."""
    hints = get_type_hints(cls)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{cls.__name__}, version {SCHEMA_VERSION}",
        "description": " ".join((cls.__doc__ or "").split()),
        "type": "object",
        "properties": {field.name: _schema(hints[field.name]) for field in fields(cls)},
        "required": [field.name for field in fields(cls) if not field.metadata.get("omitted")],
        "additionalProperties": True,
    }


def _schema(hint: Any) -> dict[str, Any]:
    if hint in _PLAIN:
        return _PLAIN[hint]
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        items = [{"title": field.name, **_schema(hints[field.name])} for field in fields(hint)]
        return {"type": "array", "prefixItems": items}
    if get_origin(hint) is tuple:
        return {"type": "array", "items": _schema(get_args(hint)[0])}
    if get_origin(hint) in (Union, types.UnionType):
        return {"anyOf": [_schema(member) for member in get_args(hint)]}
    raise TypeError(f"{hint} has no schema")
