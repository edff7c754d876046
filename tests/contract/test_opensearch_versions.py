"""An index on OpenSearch that another release made: nobody writes to it, and `gantry reindex` builds ours beside it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from gantry.common.adapters.opensearch import OpenSearchCluster, OpenSearchIndex, open_opensearch_index
from gantry.common.adapters.opensearch.client import OpenSearchClient
from gantry.common.adapters.opensearch.cluster import KINDS, LEVELS
from gantry.common.adapters.opensearch.schema import VERSION
from gantry.common.adapters.sqlite import open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.errors import ConfigError, DependencyUnavailable
from tests.support.archive import ROOT
from tests.support.entries import entry
from tests.support.facts import stored
from tests.support.servers import remove_indices, required

PREFIX = f"t{os.getpid()}versions"
HEADER = b"\x10\x00\x20\x00LO\x02\x00P1"


@pytest.fixture(autouse=True)
def no_indices() -> Iterator[None]:
    remove_indices(PREFIX)
    yield
    remove_indices(PREFIX)


def ask(method: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"{required('opensearch').address}{path}", data, {"Content-Type": "application/json"})
    request.method = method
    with urlopen(request) as answer:
        return json.load(answer)


def make_version(number: int) -> dict[str, str]:
    """The indices of a version that had no receipts of their own, with an instance in them."""
    made = {kind: f"{PREFIX}-{kind}-v{number}-000007" for kind in LEVELS}
    for kind, index in made.items():
        ask("PUT", f"/{index}", {"aliases": {f"{PREFIX}-{kind}": {}}})
        document = {"partition": "default", "uid": "1", "live": True, "series": 1, "instances": 1, "aside": 0}
        ask("PUT", f"/{index}/_doc/default:1?refresh=true", document)
    return made


def indices() -> set[str]:
    return {row["index"] for row in ask("GET", f"/_cat/indices/{PREFIX}-*?format=json&h=index")}


async def opened() -> OpenSearchIndex:
    address = urlsplit(required("opensearch").address)
    return await open_opensearch_index(OpenSearchCluster((address.netloc,), PREFIX, replicas=0), SystemClock(), 0.0)


async def test_an_index_of_another_release_is_refused_and_left_alone() -> None:
    made = make_version(VERSION - 1)
    with pytest.raises(ConfigError, match=f"version {VERSION - 1}, not {VERSION}: run `gantry reindex`"):
        await opened()
    assert indices() == set(made.values())


async def test_reindex_builds_ours_beside_it(tmp_path: Path) -> None:
    made = make_version(VERSION - 1)
    log = await open_sqlite_log(tmp_path / "log.db", SystemClock())
    facts = [replace(stored(n), header=HEADER) for n in range(1, 4)]
    await log.append(*facts)
    await log.close()
    (tmp_path / "objects").mkdir()
    config = tmp_path / "gantry.yaml"
    config.write_text(
        f"storage: {{objects: 'file://{tmp_path}/objects', log: 'sqlite://{tmp_path}/log.db',"
        f" index: 'opensearch://{urlsplit(required('opensearch').address).netloc}/{PREFIX}'}}\n"
        "opensearch: {replicas: 0, keep_replaced: 0}\n"
    )
    command = [sys.executable, "-m", "gantry", "reindex", "--json", "--config", str(config)]
    run = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert (report["before"], report["instances"]) == (1, len({fact.sop_instance_uid for fact in facts}))
    assert indices() == {f"{PREFIX}-{kind}-v{VERSION}-000008" for kind in KINDS}
    assert not indices() & set(made.values())
    index = await opened()
    assert (await index.count("default"))["instances"] == report["instances"]
    await index.close()


async def test_who_is_of_another_release_than_the_index_writes_no_more() -> None:
    index = await opened()
    await index.apply([entry(1)])
    newer = {"add": {"index": f"{PREFIX}-studies-v{VERSION + 1}-000002", "alias": f"{PREFIX}-studies"}}
    older = {"remove": {"index": f"{PREFIX}-studies-v{VERSION}-000001", "alias": f"{PREFIX}-studies"}}
    ask("PUT", f"/{PREFIX}-studies-v{VERSION + 1}-000002", {})
    ask("POST", "/_aliases", {"actions": [older, newer]})
    with pytest.raises(DependencyUnavailable, match="another release"):
        await index.apply([entry(2, "1.9.2")])
    await index.close()


async def test_a_process_that_starts_again_changes_nothing_of_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    await (await opened()).close()
    put: list[str] = []
    request = OpenSearchClient.request

    async def seen(client: OpenSearchClient, method: str, path: str, *arguments: Any, **more: Any) -> Any:
        if method == "PUT":
            put.append(path)
        return await request(client, method, path, *arguments, **more)

    monkeypatch.setattr(OpenSearchClient, "request", seen)
    await (await opened()).close()
    assert put == []
    # Another number of replicas is another template.
    address = urlsplit(required("opensearch").address)
    more = OpenSearchCluster((address.netloc,), PREFIX, replicas=1)
    await (await open_opensearch_index(more, SystemClock(), 0.0)).close()
    assert len(put) == len(KINDS)
