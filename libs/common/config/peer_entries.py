"""One peer as JSON, with the names and the rules of an entry of `peers:`. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from gantry.common.config.document import reason_of
from gantry.common.config.policy import KnownPeer
from gantry.common.errors import ConfigError

LONGEST_ENTRY = 32_768
"""Bytes of an entry as JSON: 16 entries of `sees` with some hundred values each fit."""
_LONGEST_REASON = 300


def peer_from(entry: object, ae_title: str | None = None) -> KnownPeer:
    """The peer that an entry describes. The entry may leave out `ae_title`, and must not contradict it. Raises
    `ConfigError`, whose reason names the field."""
    if not isinstance(entry, Mapping):
        raise ConfigError("peer", None, "an object with the fields of an entry of `peers` is expected")
    if ae_title is not None and entry.get("ae_title", ae_title) != ae_title:
        raise ConfigError("peer", None, "ae_title: differs from the one in the path; to change a title, add a new peer")
    try:
        peer = KnownPeer.model_validate(dict(entry) if ae_title is None else {**entry, "ae_title": ae_title})
    except ValidationError as error:
        raise ConfigError("peer", None, _clipped(reason_of(error))) from None
    if len(text_of(peer)) > LONGEST_ENTRY:
        raise ConfigError("peer", None, f"an entry has at most {LONGEST_ENTRY} bytes as JSON")
    return peer


def fields_of(peer: KnownPeer) -> dict[str, Any]:
    """The entry of a peer: the values that differ from the defaults, sets in order."""
    fields = peer.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    sets = {info.alias or name for name, info in KnownPeer.model_fields.items() if isinstance(info.default, frozenset)}
    return {name: sorted(value) if name in sets else value for name, value in fields.items()}


def text_of(peer: KnownPeer) -> str:
    """The entry as JSON; equal peers have equal texts."""
    return json.dumps(fields_of(peer), ensure_ascii=False)


def peer_in(text: str) -> KnownPeer | None:
    """The peer from the output of `text_of`; None if this release does not understand it."""
    try:
        return peer_from(json.loads(text))
    except (ConfigError, ValueError, RecursionError):
        return None


def changed_fields(before: str, after: str) -> dict[str, list[Any]]:
    """The differences between two texts of entries ("" for none), by field: the value before and after, None for the
    default."""
    old, new = _loaded(before), _loaded(after)
    names = [*old, *(name for name in new if name not in old)]
    return {name: [old.get(name), new.get(name)] for name in names if old.get(name) != new.get(name)}


def _loaded(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _clipped(reason: str) -> str:
    """One printable line: a reason may quote the request."""
    clipped = reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}…"
    return "".join(c if c.isprintable() else "?" for c in clipped)
