"""A process has in memory what its roles and backends need, and nothing of what others need."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.archive import ROOT

DECODERS = ("numpy", "PIL", "pydicom", "pynetdicom")
CLUSTER = ("opensearchpy", "aiokafka", "aiobotocore", "botocore")

HEAVY = {
    "what every process of the archive begins with": (
        "gantry.services.commands.serve, gantry.services.process.archive",
        (*DECODERS, *CLUSTER, "gantry.services.retrieve", "gantry.services.frontdoor"),
    ),
    "all roles, on embedded stores": (
        "gantry.services.ingest.app, gantry.services.query.app, gantry.services.retrieve.app, "
        "gantry.services.commitment.app, gantry.services.indexer.app, "
        "gantry.services.maintenance.sealing, gantry.services.maintenance.sweeper, gantry.services.process.stores",
        (*DECODERS, *CLUSTER, "gantry.common.adapters.opensearch"),
    ),
    "the indexer": ("gantry.services.indexer.app", ("aiohttp",)),
    "the door": ("gantry.services.frontdoor.app", (*DECODERS, *CLUSTER, "sqlite3")),
    "gantry echo": ("gantry.services.__main__, gantry.cli.store", (*DECODERS, *CLUSTER, "aiohttp")),
    "gantry --help": ("gantry.services.__main__", (*DECODERS, *CLUSTER, "aiohttp", "asyncio", "rich")),
}


@pytest.mark.parametrize("role", HEAVY)
def test_nobody_imports_what_another_needs(role: str) -> None:
    modules, unwanted = HEAVY[role]
    script = f"import {modules}, sys; print(*[m for m in {unwanted!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
