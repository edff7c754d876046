"""The options of `gantry ae add` and `change`, as fields of `peers:`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gantry.common.config.document import parse
from gantry.common.config.load import plain
from gantry.common.config.policy import KnownPeer
from gantry.common.errors import ConfigError

_NAMES = {field.alias or name for name, field in KnownPeer.model_fields.items()} - {"ae_title"}


def host_and_port(address: str) -> tuple[str, int | None]:
    """HOST, HOST:PORT, an IPv6 address, or one in brackets with a port. Raises `ConfigError`."""
    host, colon, port = address.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")) or address.endswith("]"):
        return address.strip("[]"), None
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536 and host.strip("[]")):
        raise ConfigError("address", None, f"{address!r} is not HOST or HOST:PORT, for example 192.0.2.9:104")
    return host.strip("[]"), int(port)


def set_fields(assignments: Sequence[str]) -> dict[str, Any]:
    """Fields from `NAME=VALUE`, VALUE as in the policy file; an empty VALUE is None, which removes the field. Raises
    `ConfigError`."""
    fields: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or name not in _NAMES:
            raise ConfigError("--set", None, f"{name!r} is not a field of a peer: NAME=VALUE, see docs/settings.md")
        value = plain(parse(f"value: {text}", f"--set {name}").tree.get("value")) if text.strip() else None
        fields[name] = value
    return fields


def fields_given(address: str | None, options: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """All fields that were given, by name. In `options`, None or an empty value means that the option was not given.
    Raises `ConfigError`."""
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
    values = {name: value for name, value in fields.items() if value is not None and value != []}
    if address is not None:
        host, port = host_and_port(address)
        _once(values, "host", host)
        if port is not None:
            _once(values, "port", port)
    for name, value in set_fields(assignments).items():
        _once(values, name, value)
    return values


def changed(entry: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """An entry with some fields changed; fields that are None are removed."""
    return {name: value for name, value in {**entry, **fields}.items() if value is not None}


def _once(options: dict[str, Any], name: str, value: Any) -> None:
    if name in options:
        raise ConfigError("options", None, f"{name} is given twice")
    options[name] = value
