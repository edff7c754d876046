"""What leaves the house in a support bundle: text without what names a patient's study, and without secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blake3 import blake3

# PS3.5 9.1: components without leading zeros, dots between. Five at least: an address of IPv4 has four.
_UID = re.compile(r"(?<![\w.])[0-2](?:\.(?:0|[1-9]\d*)){4,}(?![\w.]*\d)")
_STANDARD = "1.2.840.10008."
"""Beginning of UIDs that DICOM itself gives: classes and transfer syntaxes, which say nothing of anybody."""
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
_QUERY = re.compile(r"(?<=://)([^\s?\"']+)\?[^\s\"']*")
_SECRETS = re.compile(r"access_key|kms_key|username|password$|secret$|token$", re.IGNORECASE)
_CONDITIONS = "where"
"""Of rules: their values may name a patient."""


class Scrubber:
    """One UID becomes one name throughout a bundle, which nobody else can turn back: the `salt` goes nowhere."""

    def __init__(self, salt: bytes) -> None:
        self._key = blake3(salt).digest()

    def text(self, text: str) -> str:
        """Text without UIDs of studies, series, instances and transactions, and without credentials in URLs."""
        return _QUERY.sub(r"\1?***", _CREDENTIALS.sub("***@", _UID.sub(self._named, text)))

    def value(self, value: Any, key: str = "") -> Any:
        """The same for plain values, at any depth; those under the name of a secret are taken out whole."""
        if isinstance(value, Mapping):
            return {self.text(str(name)): self.value(one, str(name)) for name, one in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.value(one, key) for one in value]
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

    def _named(self, found: re.Match[str]) -> str:
        uid = found.group()
        if uid.startswith(_STANDARD):
            return uid
        return f"uid-{blake3(uid.encode(), key=self._key).hexdigest(6)}"
