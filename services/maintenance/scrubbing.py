"""Scrubbing for support bundles, which leave the site: no identifiers of a patient's study, and no secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blake3 import blake3

# PS3.5 9.1: components without leading zeros, separated by dots. At least five: an IPv4 address has four.
_UID = re.compile(r"(?<![\w.])[0-2](?:\.(?:0|[1-9]\d*)){4,}(?![\w.]*\d)")
_STANDARD = "1.2.840.10008."
"""Prefix of UIDs that DICOM itself assigns: classes and transfer syntaxes, which identify no one."""
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
_QUERY = re.compile(r"(?<=://)([^\s?\"']+)\?[^\s\"']*")
_SECRETS = re.compile(r"access_key|kms_key|username|password$|secret$|token$", re.IGNORECASE)
_CONDITIONS = "where"
"""The conditions of rules: their values may name a patient."""


class Scrubber:
    """Each UID becomes the same name throughout a bundle, and cannot be recovered: the `salt` is not stored."""

    def __init__(self, salt: bytes) -> None:
        self._key = blake3(salt).digest()

    def text(self, text: str) -> str:
        """Text without UIDs of studies, series, instances and transactions, and without credentials in URLs."""
        return _QUERY.sub(r"\1?***", _CREDENTIALS.sub("***@", _UID.sub(self._named, text)))

    def value(self, value: Any, key: str = "") -> Any:
        """The same for plain values, at any depth; those under the name of a secret are removed completely."""
        if isinstance(value, Mapping):
            return {self.text(str(name)): self.value(child, str(name)) for name, child in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.value(child, key) for child in value]
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, bytes):
            return f"{len(value)} bytes"
        text = value.as_posix() if isinstance(value, Path) else str(value)
        if _SECRETS.search(key):
            return "***"
        if key == _CONDITIONS:
            return f"{text.partition('=')[0]}=***"
        return self.text(text)

    def _named(self, match: re.Match[str]) -> str:
        uid = match.group()
        if uid.startswith(_STANDARD):
            return uid
        return f"uid-{blake3(uid.encode(), key=self._key).hexdigest(6)}"
