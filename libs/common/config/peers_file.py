"""Edits of the AE policy file that retain its comments and order. Only a valid policy is ever written."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedSeq

from gantry.common.config.document import YamlDocument, parse, read
from gantry.common.config.load import PEERS
from gantry.common.config.policy import policy_of
from gantry.common.errors import ConfigError


def add_peer(file: Path, entry: Mapping[str, Any]) -> None:
    """Append a peer; a missing file is created. Raises `ConfigError`, and then leaves the file as it was."""
    document = read(file) if file.exists() else parse("", str(file))
    titles = list(policy_of(document, "").peers)
    if entry.get("ae_title") in titles:
        raise document.refuse(
            [PEERS, titles.index(entry["ae_title"])], f"AE title {entry['ae_title']} is already in the file"
        )
    if document.tree.get(PEERS) is None:
        document.tree[PEERS] = CommentedSeq()
    document.tree[PEERS].append(dict(entry))
    _write(document)


def remove_peer(file: Path, ae_title: str) -> None:
    """Remove a peer. Raises `ConfigError` if it is not in the file, and then leaves the file as it was."""
    document = read(file)
    entries = list(policy_of(document, "").peers)
    if ae_title not in entries:
        raise ConfigError(str(file), document.line_of([PEERS]), f"no peer has the AE title {ae_title}")
    del document.tree[PEERS][entries.index(ae_title)]
    _write(document)


def change_peer(file: Path, ae_title: str, fields: Mapping[str, Any]) -> None:
    """Change fields of a peer; None removes one. Raises `ConfigError`, and then leaves the file as it was."""
    document = read(file)
    entries = list(policy_of(document, "").peers)
    if ae_title not in entries:
        raise ConfigError(str(file), document.line_of([PEERS]), f"no peer has the AE title {ae_title}")
    entry = document.tree[PEERS][entries.index(ae_title)]
    for name, value in fields.items():
        if value is None:
            entry.pop(name, None)
        else:
            entry[name] = value
    _write(document)


def _write(document: YamlDocument) -> None:
    """Replace the file atomically, so that after a crash, or for a reader, it is either the old or the new one."""
    text = document.text()
    policy_of(parse(text, document.file), "")
    file = Path(document.file)
    temp = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with temp.open("w", encoding="utf-8") as stream:
            if file.exists():
                os.fchmod(stream.fileno(), file.stat().st_mode & 0o777)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temp.rename(file)
    except OSError as error:
        temp.unlink(missing_ok=True)
        raise ConfigError(str(file), None, error.strerror or "cannot be written") from error
