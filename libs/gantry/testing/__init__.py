"""For other people's tests: a real archive, in the test's own process or in a container (docs/testing.md).

`InProcessGantry` runs every role on embedded stores in a temporary folder and is there in under a second. It can fail,
delay, abort and reject on demand, and shows what it received. `GantryContainer` runs Gantry's image through
testcontainers. `pip install gantry-dicom[testing]` brings all of it, and the pytest fixtures `gantry` and
`shared_gantry` without a line of configuration. What is stored goes over a real association, is made durable, indexed
and found.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gantry.testing.archive import InProcessGantry
    from gantry.testing.container import GantryContainer
    from gantry.testing.records import AssociationRecord, Operation, Received
    from gantry.testing.security import Security
    from gantry.testing.studies import MadeStudy, make_study

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

# Imported when they are used. pytest imports this package in every project where Gantry is installed, for its plugin; a
# test that only makes up studies needs neither an archive nor testcontainers.
_MODULES = {
    "AssociationRecord": "records",
    "GantryContainer": "container",
    "InProcessGantry": "archive",
    "MadeStudy": "studies",
    "Operation": "records",
    "Received": "records",
    "Security": "security",
    "make_study": "studies",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"gantry.testing.{_MODULES[name]}"), name)
