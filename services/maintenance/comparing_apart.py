"""Compares two objects in a separate process, with limits: data from peers is read with pydicom and decoded there.

python -m gantry.services.maintenance.comparing_apart ONE.dcm OTHER.dcm
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gantry.common.errors import RefusedDataSet

LARGEST = 512 << 20
"""Most bytes of an object that is compared here; `gantry conflicts --compare` takes larger ones."""
_MEMORY = 4 << 30
_MOST_DIFFERENCES = 2000
_LONGEST_VALUE = 300


@dataclass(frozen=True, slots=True)
class Apart:
    """The result, as in its JSON: `differences` with `path`, `one` and `other`, whether there are `more`, `same_pixels`
    (None if that cannot be determined), and `pixels` in words."""

    differences: list[dict[str, Any]]
    more: bool
    same_pixels: bool | None
    pixels: str


async def compare_apart(path: Path, other: Path) -> Apart:
    """Compare two Part 10 files; cancelling it ends the process. Raises `RefusedDataSet` for a file that cannot be
    read."""
    command = sys.executable, "-m", "gantry.services.maintenance.comparing_apart", str(path), str(other)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        raise RefusedDataSet("the objects cannot be compared: reading them failed, or needed too much memory or time")
    answer = json.loads(output)
    if "error" in answer:
        raise RefusedDataSet(f"the objects cannot be compared: {answer['error']}")
    return Apart(**answer)


def _main(path: str, other: str) -> dict[str, Any]:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from gantry.services.maintenance.comparing import compare

    try:
        compared = compare(Path(path), Path(other))
    except (OSError, ValueError, MemoryError) as error:
        # Messages may quote values of the objects.
        return {"error": f"one of them cannot be read as DICOM ({type(error).__name__})"}
    shown = compared.differences[:_MOST_DIFFERENCES]
    return {
        "differences": [{"path": d.path, "one": _short(d.one), "other": _short(d.other)} for d in shown],
        "more": len(compared.differences) > len(shown),
        "same_pixels": compared.same_pixels,
        "pixels": compared.pixels,
    }


def _short(value: str | None) -> str | None:
    return value if value is None or len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]}…"


if __name__ == "__main__":
    print(json.dumps(_main(*sys.argv[1:3])))
