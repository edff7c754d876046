"""What targets begin with: one ZIP file each, beside this file, made of real things and of what runs have found to
reach further. And what was found to be a fault once, as files below found/TARGET.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).parent
_SEEDS, _FOUND = HERE / "seeds", HERE / "found"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def seeds_of(target: str) -> list[bytes]:
    """The inputs that a run begins with."""
    file = _SEEDS / f"{target}.zip"
    if not file.exists():
        return []
    with zipfile.ZipFile(file) as held:
        return [held.read(name) for name in held.namelist()]


def found_by(target: str) -> list[Path]:
    """What was a fault once."""
    return sorted((_FOUND / target).glob("*"))


def keep_seeds(target: str, inputs: Iterable[bytes]) -> None:
    """Replace the inputs that runs begin with."""
    _SEEDS.mkdir(exist_ok=True)
    with zipfile.ZipFile(_SEEDS / f"{target}.zip", "w", zipfile.ZIP_DEFLATED) as out:
        for content in sorted(set(inputs), key=lambda data: (len(data), data)):
            name = sha256(content).hexdigest()[:16]
            out.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
