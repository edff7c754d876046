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
        "services.serve, services.archive",
        (*DECODERS, *CLUSTER, "services.retrieve", "services.door"),
    ),
    "all roles, on embedded stores": (
        "services.ingest.app, services.query.app, services.retrieve.app, services.commitment.app, services.indexer.app,"
        "services.upkeep.archiver, services.upkeep.sweeper, services.stores",
        (*DECODERS, *CLUSTER, "libs.common.adapters.opensearch"),
    ),
    "the indexer": ("services.indexer.app", ("aiohttp",)),
    "the door": ("services.door.app", (*DECODERS, *CLUSTER, "sqlite3")),
    "gantry echo": ("services.__main__, libs.cli.store", (*DECODERS, *CLUSTER, "aiohttp")),
    "gantry --help": ("services.__main__", (*DECODERS, *CLUSTER, "aiohttp", "asyncio", "rich")),
}


@pytest.mark.parametrize("who", HEAVY)
def test_nobody_imports_what_another_needs(who: str) -> None:
    modules, unwanted = HEAVY[who]
    script = f"import {modules}, sys; print(*[m for m in {unwanted!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
