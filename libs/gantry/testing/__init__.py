"""For other people's tests: a real archive, in the test's own process or in a container (docs/testing.md).

`InProcessGantry` runs every role on embedded stores in a temporary folder and is there in under a second. It can fail,
delay, abort and reject on demand, and shows what it received. `GantryContainer` runs Gantry's image through
testcontainers. `pip install gantry-dicom[testing]` brings all of it, and the pytest fixtures `gantry` and
`shared_gantry` without a line of configuration. What is stored goes over a real association, is made durable, indexed
and found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gantry.testing.records import AssociationRecord, Operation, Received
from gantry.testing.security import Security
from gantry.testing.studies import MadeStudy, make_study

if TYPE_CHECKING:
    from gantry.testing.archive import InProcessGantry
    from gantry.testing.container import GantryContainer

__all__ = [
    "AssociationRecord",
    "GantryContainer",
    "InProcessGantry",
    "MadeStudy",
    "Operation",
    "Received",
    "Security",
    "make_study",
]


def __getattr__(name: str) -> Any:
    # Imported when they are used: a test that only makes up studies needs neither an archive nor testcontainers.
    if name == "InProcessGantry":
        from gantry.testing.archive import InProcessGantry

        return InProcessGantry
    if name == "GantryContainer":
        from gantry.testing.container import GantryContainer

        return GantryContainer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
