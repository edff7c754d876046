"""Kinds of values."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gantry.common.config.values import AeTitle, Cidr, HostAndPort, Port, Seconds, Text, Texts, TitlePattern, Uid


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        (AeTitle, "SEVENTEEN_LETTERS", "not an AE title"),
        (Uid, "1.a", "not a UID"),
        (Cidr, "10.0.0.300", "CIDR"),
        (HostAndPort, "host", "HOST:PORT"),
        (HostAndPort, "host:70000", "HOST:PORT"),
        (Port, 65536, "less than or equal"),
        (Seconds, 0, "greater than 0"),
        (Text, 123, "in quotes"),
        (Texts, [], "nullify"),
        (TitlePattern, "A\\B", "not an AE title"),
    ],
)
def test_what_is_no_such_value_is_refused_with_a_reason(kind: Any, value: Any, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize(
    ("kind", "value", "taken"),
    [
        (HostAndPort, "[2001:db8::1]:11112", "[2001:db8::1]:11112"),
        (Texts, "one", ("one",)),
        (TitlePattern, "CT*", "CT*"),
        (Seconds, 0.5, 0.5),
    ],
)
def test_what_is_one_is_taken(kind: Any, value: Any, taken: Any) -> None:
    assert TypeAdapter(kind).validate_python(value) == taken
