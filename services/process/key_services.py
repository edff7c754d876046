"""The key service of the settings: the only module that knows its backend."""

from __future__ import annotations

import os
from pathlib import Path

from gantry.common.config.secret_files import secret_of
from gantry.common.config.store_sections import Encryption
from gantry.common.errors import ConfigError
from gantry.common.ports.keys import KeyService


def key_service(encryption: Encryption) -> KeyService | None:
    """The service that wraps data keys; None if objects are not encrypted. Raises `ConfigError`."""
    if encryption.key_file is not None:
        from gantry.common.adapters.key_file import KeyFile

        return KeyFile(encryption.key_file)
    if encryption.kms_key is None:
        return None
    from gantry.common.adapters.kms import Kms, KmsKey  # its client library takes 20 MB and half a second

    return Kms(
        KmsKey(
            encryption.kms_key,
            encryption.region,
            encryption.endpoint,
            encryption.access_key,
            secret_of(encryption.secret_key_file, "encryption.secret_key_file"),
            encryption.deadline,
            str(encryption.ca) if encryption.ca is not None else None,
        )
    )


def add_key(file: Path, name: str) -> None:
    """Append a new key to a file for `encryption.key_file`; it becomes the current one. The file is replaced
    atomically, so that readers see either the old or the new one. Raises `ConfigError`, `OSError`."""
    from gantry.common.adapters.key_file import line_of, read_keys

    line, before, mode = line_of(name), "", 0o600
    if file.exists():
        if name in read_keys(file):
            raise ConfigError(str(file), None, f"a key {name} exists already")
        before, mode = file.read_text(encoding="utf-8"), file.stat().st_mode & 0o777
        before += "" if before.endswith("\n") else "\n"
    anew = file.with_name(f".{file.name}.{os.getpid()}")
    with open(os.open(anew, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as out:
        out.write(before + line)
        out.flush()
        os.fsync(out.fileno())
    os.replace(anew, file)
