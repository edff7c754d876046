"""Workitems behind the front door: two processes of the role, DIMSE and HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydicom.uid import generate_uid

from tests.support.door import FrontDoor
from tests.support.worker import Worker, performed, step
from tests.support.workitems import WorkitemsClient, claim

ALONE = dict.fromkeys(("ingest", "query", "retrieve", "commitment"), 0)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontDoor]:
    running = FrontDoor(tmp_path_factory.mktemp("workitems-door"), lab=True, scale={**ALONE, "orders": 2})
    running.write_policy([], "http: {may_order: [loopback]}\n")
    running.start()
    yield running
    assert running.stop() == 0


def until(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_workitem_goes_through_the_door_both_ways(door: FrontDoor) -> None:
    uid, mine, client = generate_uid(), generate_uid(), WorkitemsClient(door.http_port)
    client.create(uid)
    with Worker(door.port) as worker:
        until(lambda: len(worker.find(SOPInstanceUID=uid)[1]) == 1)
        assert worker.change_state(uid, "IN PROGRESS", mine) == 0
        assert worker.set(uid, performed(mine)).Status == 0
    assert client.ask("PUT", f"/{uid}/state", claim(mine, "COMPLETED"))[0] == 200
    until(lambda: client.state(uid) == "COMPLETED")


def test_two_processes_that_are_asked_at_once_agree_who_has_it(door: FrontDoor) -> None:
    """Half of these end at each process: one is told that it has the workitem, whichever it is."""
    uid, client = generate_uid(), WorkitemsClient(door.http_port)
    with Worker(door.port) as scheduler:
        assert scheduler.create(uid, step()).Status == 0

    def by_dimse(transaction: str) -> bool:
        with Worker(door.port) as worker:
            return worker.change_state(uid, "IN PROGRESS", transaction) == 0

    def by_http(transaction: str) -> bool:
        return client.ask("PUT", f"/{uid}/state", claim(transaction))[0] == 200

    ways = [by_dimse, by_http] * 4
    with ThreadPoolExecutor(8) as workers:
        claims = [workers.submit(way, generate_uid()) for way in ways]
        assert sum(future.result() for future in claims) == 1
    counted = [process.metric("gantry_workitem_requests_total") for process in door.parts["orders"]]
    assert all(counted), "each process was asked"
