"""HL7 messages through the front door, with two processes of the orders role behind it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from gantry.common.errors import ConnectionFailed
from gantry.common.net.mllp_client import MllpClient
from tests.support.door import FrontDoor
from tests.support.messages import order
from tests.support.mllp_receiver import mllp_receiver
from tests.support.objects import data_set, file_bytes
from tests.support.ports import free_port
from tests.support.stow import files, post
from tests.support.worklist import OrdersClient

ALONE = dict.fromkeys(("ingest", "query", "retrieve", "commitment"), 0)
SETTINGS = """http: {may_order: [loopback]}
hl7: {profiles: [{sender: 'RIS^*', authorities: [HOSP]}]}
"""


@contextmanager
def opened(folder: Path, scale: Mapping[str, int], more: str = "") -> Iterator[FrontDoor]:
    running = FrontDoor(folder, lab=True, scale=scale)
    running.write_policy([], SETTINGS + more)
    ports = [free_port() for _ in running.parts["orders"]]
    for process, port in zip(running.parts["orders"], ports, strict=True):
        process.environment |= {"GANTRY_HL7__PORT": str(port), "GANTRY_HL7__PROXY_FROM": "[127.0.0.1]"}
    behind = ", ".join(f"127.0.0.1:{port}" for port in ports)
    running.environment |= {"GANTRY_DOOR__HL7": f"[{behind}]", "GANTRY_HL7__PORT": str(free_port())}
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def door(tmp_path: Path) -> Iterator[FrontDoor]:
    with opened(tmp_path, {**ALONE, "orders": 2}) as running:
        yield running


def client(door: FrontDoor) -> MllpClient:
    return MllpClient("127.0.0.1", int(door.environment["GANTRY_HL7__PORT"]), None, 20.0)


async def keep_sending(sender: MllpClient) -> None:
    while True:
        await sender.send(order(control_id="M2"))
        await asyncio.sleep(0.05)


def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def test_order_comes_by_the_door_and_a_process_that_is_killed_costs_a_connection_alone(door: FrontDoor) -> None:
    orders = OrdersClient(door)
    async with client(door) as first, client(door) as second:
        # Two connections, two processes.
        for number, sender in enumerate((first, second), 1):
            placed = order(
                control_id=f"M{number}", obr={18: f"A10{number}"}, orc={2: f"P{number}^RIS", 3: f"F{number}^RIS"}
            )
            assert b"MSA|AA" in await sender.send(placed)
        await asyncio.to_thread(until, lambda: orders.states("A101") == orders.states("A102") == {"S100": "SCHEDULED"})
        assert [part.metric("gantry_hl7_connections") for part in door.parts["orders"]] == [1, 1]

        victim = door.parts["orders"][0]
        victim.kill()
        ended = 0
        for number, sender in enumerate((first, second), 3):
            try:
                assert b"MSA|AA" in await sender.send(order(control_id=f"M{number}", orc={2: f"P{number}^RIS"}))
            except ConnectionFailed:
                ended += 1
        assert ended == 1
    async with client(door) as again:
        # What had no answer is sent again, and so is what had one: it is answered as before, by the other process.
        for number in (1, 2, 3):
            placed = order(
                control_id=f"M{number}", obr={18: f"A10{number}"}, orc={2: f"P{number}^RIS", 3: f"F{number}^RIS"}
            )
            assert b"MSA|AA" in await again.send(placed)
    victim.start()


async def test_door_that_ends_lets_senders_go(door: FrontDoor) -> None:
    async with client(door) as sender:
        assert b"MSA|AA" in await sender.send(order())
        begun = time.monotonic()
        stopping = asyncio.create_task(asyncio.to_thread(door.stop))
        with pytest.raises(ConnectionFailed):
            await keep_sending(sender)
        await stopping
        assert time.monotonic() - begun < 15, "a connection that waits for nothing holds nobody up"


async def test_order_comes_in_and_its_result_goes_out_where_every_role_is_a_process_of_its_own(tmp_path: Path) -> None:
    async with mllp_receiver() as ris:
        receiver = f"{{name: RIS, host: 127.0.0.1, port: {ris.port}, application: RIS}}"
        rules = f"routing: {{receivers: [{receiver}], rules: [{{name: told, notify: [RIS]}}]}}"
        with opened(tmp_path, {}, f"completion: {{quiet: 0.5}}\n{rules}\n") as door:
            async with client(door) as sender:
                assert b"MSA|AA" in await sender.send(order())
            image = data_set(study="1.2.16.1", patient="4711", IssuerOfPatientID="HOSP", AccessionNumber="A100")
            assert (await asyncio.to_thread(post, door, files([file_bytes(image)]))).status == 200
            await asyncio.to_thread(until, lambda: bool(ris.came), 60.0)
            (message,) = ris.messages
            numbers = {name: message.first(name) for name in ("ORC", "OBR", "OBX", "PID")}
            assert all(numbers.values()), message
            assert [segment.text(field) for name, field in WANTED if (segment := numbers[name])] == list(
                WANTED.values()
            )


WANTED = {("OBX", 5): "1.2.16.1", ("OBR", 18): "A100", ("ORC", 2): "P100", ("ORC", 3): "F100", ("PID", 3): "4711"}
