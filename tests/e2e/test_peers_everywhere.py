"""A peer that was added to one process is admitted by every other one within seconds: behind the door, and where each
role is a process of its own on Kafka; and a process that begins later knows it before it is ready."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from gantry.cli.identifiers import BOTH
from gantry.common.dicom.standard.sop_classes import (
    MODALITY_WORKLIST_FIND,
    STORAGE_COMMITMENT,
    STUDY_ROOT_FIND,
    STUDY_ROOT_MOVE,
    VERIFICATION,
)
from gantry.common.errors import AssociationRejected
from gantry.common.net import Peer, connect, scu
from gantry.services.roles import Role
from tests.support.archive import RunningArchive
from tests.support.door import FrontDoor
from tests.support.partitions import Partition, SharedDoor
from tests.support.roles import RunningRoles
from tests.support.seen import CT
from tests.support.topology import TOPOLOGIES, environment, own_stores, remove_stores

OPERATOR = {"GANTRY_HTTP__MAY_OPERATE": "loopback"}
SERVICES = {
    Role.INGEST: CT,
    Role.QUERY: STUDY_ROOT_FIND,
    Role.RETRIEVE: STUDY_ROOT_MOVE,
    Role.COMMITMENT: STORAGE_COMMITMENT,
    Role.ORDERS: MODALITY_WORKLIST_FIND,
}
ENTRY = {
    "host": "127.0.0.1",
    "port": 11119,
    "may": ["store", "find", "retrieve", "commit", "worklist", "echo"],
    "move_destination": True,
}
WITHIN = 5.0
"""Seconds."""


def operate(archive: RunningArchive, method: str, title: str, token: str = "") -> Any:
    """Add a peer, or remove it whatever it is."""
    condition = {"PUT": ("If-None-Match", json.dumps(ENTRY).encode()), "DELETE": ("If-Match", None)}[method]
    headers = {condition[0]: "*", "Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    url = f"http://127.0.0.1:{archive.http_port}/dicom-web/operations/peers/{title}"
    with urllib.request.urlopen(
        urllib.request.Request(url, condition[1], headers, method=method), timeout=30
    ) as response:
        return json.load(response)


async def admits(peer: Peer, abstract_syntax: str) -> bool:
    try:
        async with connect(peer, [(abstract_syntax, BOTH), (VERIFICATION, BOTH)]) as association:
            accepted = {context.abstract_syntax for context in association.contexts.values()}
            return abstract_syntax in accepted and await scu.echo(association) == 0
    except AssociationRejected:
        return False


async def become(peers: dict[Role, Peer], admitted: bool) -> None:
    """Every role admits, or rejects, within seconds."""
    async with asyncio.timeout(WITHIN):
        for role, peer in peers.items():
            while await admits(peer, SERVICES[role]) != admitted:
                await asyncio.sleep(0.05)


@pytest.fixture
def door(tmp_path: Path) -> Iterator[FrontDoor]:
    tokens = tmp_path / "tokens"
    tokens.write_text("ops:the-token-of-operators\n")
    allowed = {"GANTRY_HTTP__TOKENS_FILE": str(tokens)}
    running = FrontDoor(tmp_path, environment={**allowed, "GANTRY_HTTP__MAY_OPERATE": "ops"}, door=allowed)
    try:
        yield running.start()
    finally:
        running.kill()
        for processes in running.parts.values():
            for process in processes:
                process.kill()


async def test_a_peer_that_is_added_through_the_door_gets_in_at_every_role_behind_it(door: FrontDoor) -> None:
    through = dict.fromkeys(SERVICES, Peer("127.0.0.1", door.port, "GANTRY", "CT9"))
    await become(through, False)
    await asyncio.to_thread(operate, door, "PUT", "CT9", "the-token-of-operators")
    await become(through, True)
    for processes in door.parts.values():
        for process in processes:
            known = 0 if process is door.parts["indexer"][0] else 1
            assert process.metric("gantry_peers_added") == known, process.log
    await asyncio.to_thread(operate, door, "DELETE", "CT9", "the-token-of-operators")
    await become(through, False)


@pytest.fixture
async def roles(tmp_path: Path) -> AsyncIterator[RunningRoles]:
    stores = environment("cluster", tmp_path)
    running = RunningRoles(tmp_path / "roles", {**stores, **OPERATOR})
    for archive in running.processes.values():
        archive.arguments.remove("--lab")
    try:
        await asyncio.to_thread(running.start)
        yield running
    finally:
        running.end()
        remove_stores(stores)


@pytest.mark.timeout(300)
async def test_a_peer_that_is_added_to_one_process_is_known_to_every_role_on_kafka_also_to_one_that_begins_later(
    roles: RunningRoles,
) -> None:
    peers = {role: _as_ct9(roles.peer(role)) for role in SERVICES}
    await become(peers, False)
    await asyncio.to_thread(operate, roles.processes["ingest"], "PUT", "CT9")
    await become(peers, True)
    destinations = await asyncio.to_thread(roles.processes["retrieve"].http, "/dicom-web/destinations")
    assert "CT9" in destinations[1]

    # Whoever is ready knows the peer: nobody is rejected for good by a process that has just begun.
    for name in ("query", "commitment"):
        await asyncio.to_thread(roles.kill, name)
        await asyncio.to_thread(roles.start, name)
        assert await admits(peers[Role(name)], SERVICES[Role(name)])

    await asyncio.to_thread(operate, roles.processes["ingest"], "DELETE", "CT9")
    await become(peers, False)
    assert all("Traceback" not in process.log.read_text() for process in roles.processes.values())


def _as_ct9(peer: Peer) -> Peer:
    return Peer(peer.host, peer.port, peer.called_ae_title, "CT9")


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_a_peer_of_one_partition_is_none_of_another_behind_the_same_door(tmp_path: Path, topology: str) -> None:
    stores = environment(topology, tmp_path)
    north, south = (Partition(tmp_path, name, own_stores(stores, name)) for name in ("north", "south"))
    door = SharedDoor(tmp_path, {north: {"hosts": ["north.example"]}, south: {"hosts": ["south.example"]}})
    running = [north, south, door]
    try:
        for archive in running:
            await asyncio.to_thread(archive.start)
        at = {archive.name: Peer("127.0.0.1", door.port, archive.ae_title, "CT9") for archive in (north, south)}
        await asyncio.to_thread(operate, north, "PUT", "CT9", north.token)
        async with asyncio.timeout(WITHIN):
            while not await admits(at["north"], STUDY_ROOT_FIND):
                await asyncio.sleep(0.05)
        assert not await admits(at["south"], STUDY_ROOT_FIND)
        assert (north.metric("gantry_peers_added"), south.metric("gantry_peers_added")) == (1, 0)
    finally:
        for archive in running:
            archive.kill()
        for archive in (north, south):
            remove_stores(own_stores(stores, archive.name))
