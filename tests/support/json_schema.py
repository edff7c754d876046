"""Validates values by a JSON Schema, with the features that docs/schemas uses; schemas with others are refused."""

from __future__ import annotations

import re
from typing import Any

_TYPES: dict[str, type] = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
_KNOWN = {
    *("$schema", "title", "description", "type", "properties", "required", "additionalProperties"),
    *("items", "pattern", "format", "minimum", "const"),
}


def require(document: object, schema: dict[str, Any], where: str = "it") -> None:
    """Raise `AssertionError` with the place where a document does not conform to the schema."""
    value: Any = document
    assert set(schema) <= _KNOWN, f"{where}: {set(schema) - _KNOWN} is not checked here"
    if "const" in schema:
        assert document == schema["const"], where
        return
    assert type(document) is _TYPES[schema["type"]], f"{where} is not {schema['type']}"
    if "pattern" in schema:
        assert re.search(schema["pattern"], value), f"{where}: {value!r}"
    if schema.get("format") == "date-time":
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", value), f"{where}: {value!r}"
    if "minimum" in schema:
        assert value >= schema["minimum"], where
    for name in schema.get("required", ()):
        assert name in value, f"{where} lacks {name}"
    for name, inner in schema.get("properties", {}).items():
        if name in value:
            require(value[name], inner, f"{where}.{name}")
    for number, item in enumerate(value if schema["type"] == "array" else ()):
        require(item, schema["items"], f"{where}[{number}]")
