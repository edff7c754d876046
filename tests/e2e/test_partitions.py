"""Two organisations behind one door, in both topologies: each finds its own and nothing of the other's, by whatever way
it is named, and what is of one alone goes on when the other is down."""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from gantry.cli.identifiers import BOTH
from gantry.common.config.tls import client_context
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND, VERIFICATION
from gantry.common.errors import AssociationRejected, ConnectionFailed, PeerTimeout
from gantry.common.net import Peer, connect
from gantry.common.net.mllp_client import MllpClient
from tests.support.asking import Modality, find_matches, get, uids_of, until
from tests.support.certificates import Authority, settings
from tests.support.messages import order
from tests.support.objects import bytes_of, study
from tests.support.partitions import Partition, SharedDoor
from tests.support.ports import free_port
from tests.support.topology import TOPOLOGIES, environment, own_stores, remove_stores

pytestmark = pytest.mark.timeout(240)


@dataclass
class House:
    """Two archives and a door."""

    door: SharedDoor
    north: Partition
    south: Partition
    ports: dict[str, int]
    authority: Authority

    def with_certificate(self, name: str, ae_title: str) -> Peer:
        context = client_context(settings(self.authority.sign(name), self.authority.ca))
        peer = replace(self.door.peer, called_ae_title=ae_title, calling_ae_title="MODALITY", tls=context)
        return replace(peer, port=self.ports["tls"])


@pytest.fixture(scope="module", params=TOPOLOGIES)
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    stores = environment(request.param, folder)
    north, south = (Partition(folder, name, own_stores(stores, name)) for name in ("north", "south"))
    north.sections["http"]["url"] = "https://pacs.example/north"
    ports = {name: free_port() for name in ("north", "tls", "north-hl7", "south-hl7")}
    for archive in (north, south):
        behind = free_port()
        # South's senders speak TLS to the door.
        archive.sections["hl7"] = {"port": behind, "proxy_from": ["127.0.0.1"], "tls": archive is south}
        archive.sections["door"]["hl7"] = [f"127.0.0.1:{behind}"]
        archive.write()
    authority = Authority(folder / "authority", "network")
    ours = authority.sign("door")
    tls = {"certificate": str(ours.certificate), "key": str(ours.key), "ca": str(authority.ca)}
    door = SharedDoor(
        folder,
        {
            north: {
                "port": ports["north"],
                "hl7_port": ports["north-hl7"],
                "certificates": ["mr.north"],
                "path": "/north",
                "max_associations": 4,
            },
            south: {"hl7_port": ports["south-hl7"], "certificates": ["mr.south"], "hosts": ["south.example"]},
        },
        tls=tls,
        dimse={"tls_port": ports["tls"]},
    )
    running = (north, south, door)
    try:
        for archive in running:
            archive.start()
        yield House(door, north, south, ports, authority)
        assert all(process.alive for process in running), [process.log.read_text()[-2000:] for process in running]
    finally:
        for archive in running[::-1]:
            archive.stop()
        for name in ("north", "south"):
            remove_stores(own_stores(stores, name))


def ask(house: House, path: str, host: str = "", token: str = "", method: str = "GET") -> tuple[int, Any]:
    headers = {"Host": host or f"127.0.0.1:{house.door.http_port}", "Accept": "application/dicom+json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(f"http://127.0.0.1:{house.door.http_port}{path}", headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            body = response.read()
            return response.status, json.loads(body) if body[:1] in (b"[", b"{") else body.decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def studies_of(answer: tuple[int, Any]) -> set[str]:
    status, body = answer
    assert status in (200, 204), answer
    return {match["0020000D"]["Value"][0] for match in body or ()}


async def rejected(peer: Peer) -> tuple[int, int, int]:
    with pytest.raises(AssociationRejected) as caught:
        async with connect(peer, [(VERIFICATION, BOTH)]):
            pass
    return caught.value.result, caught.value.source, caught.value.reason


async def stored(house: House, tmp_path: Path) -> tuple[str, str]:
    """A study in each; the patients have one ID, and the AE title that sends is the same."""
    uids = []
    for archive in (house.north, house.south):
        files = study(tmp_path / archive.name, 2, patient="P1", name=f"{archive.name}^patient")
        peer = house.door.peer_of(archive)
        await Modality(peer, files).send_all()
        async with asyncio.timeout(60):
            while not [ds for ds in await find_matches(peer, "STUDY") if ds.StudyInstanceUID == uids_of(files[0])[0]]:
                await asyncio.sleep(0.1)
        uids.append(uids_of(files[0])[0])
    return uids[0], uids[1]


async def test_each_finds_its_own_by_every_name_and_nothing_of_the_others(house: House, tmp_path: Path) -> None:
    north, south = await stored(house, tmp_path)
    at_norths_port = replace(house.door.peer_of(house.north), port=house.ports["north"])
    for peer, own, other in (
        (house.door.peer_of(house.north), north, south),
        (at_norths_port, north, south),
        (house.with_certificate("mr.north", "NORTH"), north, south),
        (house.door.peer_of(house.south), south, north),
        (house.with_certificate("mr.south", "SOUTH"), south, north),
    ):
        uids = {str(ds.StudyInstanceUID) for ds in await find_matches(peer, "STUDY")}
        assert own in uids
        assert other not in uids
        assert not await find_matches(peer, "SERIES", f"StudyInstanceUID={other}")
    for path, host, token, own, other in (
        ("/north/dicom-web/studies", "", house.north.token, north, south),
        ("/dicom-web/studies", "", house.north.token, north, south),
        ("/dicom-web/studies", "south.example", house.south.token, south, north),
        ("/dicom-web/studies", "", house.south.token, south, north),
    ):
        assert own in studies_of(ask(house, path, host, token)), (path, host)
        assert other not in studies_of(ask(house, path, host, token)), (path, host)
        below = path.removesuffix("/studies")
        assert ask(house, f"{below}/studies/{other}/metadata", host, token)[0] == 404
        assert ask(house, f"{below}/studies/{own}/metadata", host, token)[0] == 200
        assert ask(house, f"{below}/studies/{other}", host, token, "DELETE")[0] == 404


async def test_answers_below_a_path_say_where_things_are(house: House, tmp_path: Path) -> None:
    north, _ = await stored(house, tmp_path)
    _, body = ask(house, f"/north/dicom-web/studies?StudyInstanceUID={north}", token=house.north.token)
    assert body[0]["00081190"]["Value"] == [f"https://pacs.example/north/dicom-web/studies/{north}"]


async def test_messages_come_to_whose_port_they_are_sent_to(house: House) -> None:
    async def told(name: str, tls: str = "") -> bytes:
        context = client_context(settings(house.authority.sign(tls), house.authority.ca)) if tls else None
        async with MllpClient("127.0.0.1", house.ports[f"{name}-hl7"], context, 20.0) as sender:
            return await sender.send(order(control_id=f"{name}{tls}"))

    assert b"MSA|AA" in await told("north")
    status, orders = ask(house, "/north/dicom-web/orders", token=house.north.token)
    assert (status, [entry["00080050"]["Value"] for entry in orders]) == (200, [["A100"]])
    assert ask(house, "/dicom-web/orders", "south.example", house.south.token) == (200, [])
    assert b"MSA|AA" in await told("south", "engine.south")
    assert len(ask(house, "/dicom-web/orders", "south.example", house.south.token)[1]) == 1
    for partition, certificate in (("south", ""), ("south", "mr.north")):
        with pytest.raises((ConnectionFailed, PeerTimeout)):
            await told(partition, certificate)
    assert "its signs name different partitions" in house.door.log.read_text()


async def test_signs_that_disagree_and_names_that_nobody_has_are_rejected(house: House) -> None:
    nobody = (1, 1, 7)
    assert await rejected(replace(house.door.peer, called_ae_title="ELSEWHERE")) == nobody
    assert await rejected(replace(house.door.peer_of(house.south), port=house.ports["north"])) == nobody
    assert await rejected(house.with_certificate("mr.south", "NORTH")) == nobody
    log = house.door.log.read_text()
    assert "its signs name different partitions" in log
    assert "it does not name a partition (called AE title ELSEWHERE" in log


@pytest.mark.parametrize(
    ("path", "host", "whose", "status"),
    [
        ("/north/dicom-web/studies", "", "south", 401),
        ("/dicom-web/studies", "south.example", "north", 401),
        ("/north/dicom-web/studies", "south.example", "north", 404),
        ("/dicom-web/studies", "", "", 404),
        ("/dicom-web/studies", "north.example", "", 404),
        ("/northern/dicom-web/studies", "", "", 404),
        ("/north/dicom-web/studies", "", "", 401),
        ("/north/", "", "north", 404),
        ("/north/login", "", "north", 404),
        ("/", "", "", 404),
        ("/", "south.example", "", 200),
    ],
)
def test_a_request_is_answered_by_whom_it_names_or_nobody(
    house: House, path: str, host: str, whose: str, status: int
) -> None:
    token = house.door.partitions[whose].token if whose else ""
    assert ask(house, path, host, token)[0] == status


@pytest.mark.parametrize(("target", "header", "status"), [("south.example", "x", 401), ("x", "south.example", 200)])
def test_the_host_of_an_absolute_target_comes_before_the_header(
    house: House, target: str, header: str, status: int
) -> None:
    """RFC 9112 3.2.2. The token is north's, and unknown at south."""
    head = f"GET http://{target}/dicom-web/studies HTTP/1.1\r\nHost: {header}\r\nConnection: close\r\n"
    with socket.create_connection(("127.0.0.1", house.door.http_port), timeout=30) as client:
        client.sendall(f"{head}Authorization: Bearer {house.north.token}\r\n\r\n".encode())
        answer = client.makefile("rb").readline()
    assert int(answer.split()[1]) == status, answer


def test_a_token_that_nobody_knows_is_not_accepted(house: House) -> None:
    assert ask(house, "/dicom-web/studies", token="0" * 32)[0] == 401


async def test_a_partition_takes_no_more_than_its_share_of_the_door(house: House) -> None:
    peer = house.door.peer_of(house.north)
    async with (
        connect(peer, [(VERIFICATION, BOTH)]),
        connect(peer, [(VERIFICATION, BOTH)]),
        connect(peer, [(STUDY_ROOT_FIND, BOTH)]),
        connect(peer, [(VERIFICATION, BOTH)]),
    ):
        assert await rejected(peer) == (2, 3, 2)
        async with connect(house.door.peer_of(house.south), [(VERIFICATION, BOTH)]):
            pass
    async with asyncio.timeout(30):
        while True:
            try:
                async with connect(peer, [(VERIFICATION, BOTH)]):
                    break
            except AssociationRejected:
                await asyncio.sleep(0.1)


async def test_one_that_is_down_disturbs_nobody(house: House, tmp_path: Path) -> None:
    house.south.kill()
    await until(lambda: '"partition": "south"' in house.door.log.read_text())
    assert house.door.http("/readyz")[0] == 200
    assert await rejected(house.door.peer_of(house.south)) == (2, 3, 1)
    assert ask(house, "/dicom-web/studies", "south.example", house.south.token)[0] == 503
    files = study(tmp_path / "meanwhile", 2, patient="P9")
    await Modality(house.door.peer_of(house.north), files).send_all()
    house.south.start()
    async with asyncio.timeout(30):
        while True:
            try:
                await find_matches(house.door.peer_of(house.south), "STUDY")
                break
            except AssociationRejected:
                await asyncio.sleep(0.1)
    # Of each, one process for associations and its port for messages.
    await until(lambda: house.door.metric("gantry_door_backends") == 4)


async def test_what_came_through_the_door_lies_bit_for_bit_in_its_own_archive(house: House, tmp_path: Path) -> None:
    files = study(tmp_path / "whole", 3, patient="P7")
    await Modality(house.door.peer_of(house.south), files).send_all()
    uid = uids_of(files[0])[0]
    peer = house.door.peer_of(house.south)
    async with asyncio.timeout(60):
        while not [
            match
            for match in await find_matches(peer, "STUDY", f"StudyInstanceUID={uid}")
            if match.NumberOfStudyRelatedInstances == 3
        ]:
            await asyncio.sleep(0.1)
    assert not await find_matches(house.door.peer_of(house.north), "SERIES", f"StudyInstanceUID={uid}")
    brought = await get(peer, tmp_path / "got", "STUDY", f"StudyInstanceUID={uid}")
    assert brought == {file.sop_instance_uid: bytes_of(file) for file in files}
