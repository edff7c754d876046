"""Golden files of the change feed: the JSON of every golden event.

    python -m tests.compat.changes      writes files that are missing; what is there is never written again

What stands in a file stays, by its name and with its value, in every later release; others may come beside it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from gantry.common.events import Event, InstancesDeleted, encode
from gantry.common.events.changes import Json, change_of
from tests.compat.events import EVENTS

CHANGES = Path(__file__).parent / "changes"
_DELETED = EVENTS["InstancesDeleted.v1"]
assert isinstance(_DELETED, InstancesDeleted)
REJECTED = replace(_DELETED, final=False, kept=True)
TOLD: dict[str, Event] = {**EVENTS, "InstancesDeleted-rejected.v1": REJECTED}


def change(name: str) -> Json | None:
    """What the feed says of a golden event."""
    return change_of(TOLD[name], encode(TOLD[name]))


def golden(name: str) -> Path:
    return CHANGES / f"{name}.json"


if __name__ == "__main__":
    CHANGES.mkdir(exist_ok=True)
    for one in TOLD:
        made = change(one)
        if made is not None and not golden(one).exists():
            golden(one).write_text(json.dumps(made, indent=1) + "\n")
            print(f"wrote {golden(one)}")
