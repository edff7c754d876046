"""The resource of orders, as a RIS without HL7 and an administrator use it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from gantry.common.adapters.sqlite import open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.services.__main__ import main
from tests.support.archive import RunningArchive
from tests.support.modality import Modality
from tests.support.orders import nested, order, placed
from tests.support.worklist import OrdersClient, ordered, scheduled

PATIENT = {"00100020": {"vr": "LO", "Value": ["P99"]}}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    running = RunningArchive(tmp_path_factory.mktemp("orders"))
    running.write_policy([], "http: {may_order: [loopback]}\n")
    running.start()
    yield running
    assert running.alive, running.log.read_text()
    running.stop()


@pytest.fixture
def orders(archive: RunningArchive) -> OrdersClient:
    return OrdersClient(archive)


def keys(answer: list[dict[str, dict[str, list[str]]]]) -> list[str]:
    return [match["00080050"]["Value"][0] for match in answer]


def test_an_order_is_placed_seen_changed_and_cancelled(orders: OrdersClient) -> None:
    orders.place(ordered(1, scheduled("S1"), scheduled("S2")))
    status, changed = orders.ask("PATCH", "/A1", PATIENT | {
        "00400100": {"vr": "SQ", "Value": [{"00400009": {"vr": "SH", "Value": ["S2"]},
                                             "00400011": {"vr": "SH", "Value": ["Room 7"]}}]}
    })  # fmt: skip
    assert status == 200
    steps = changed[0]["00400100"]["Value"]
    assert [step["00400011"]["Value"] for step in steps] == [["Room 1"], ["Room 7"]]
    assert changed[0]["00100020"]["Value"] == ["P99"]
    assert orders.ask("DELETE", "/A1?reason=too+late&step=S2")[0] == 200
    assert orders.states("A1") == {"S1": "SCHEDULED", "S2": "CANCELLED"}
    assert orders.ask("DELETE", "/A1?reason=too+late")[0] == 200
    assert orders.ask("PATCH", "/A1", PATIENT) == (409, "the order is cancelled; it can be placed again\n")
    history = orders.ask("GET", "/A1/history")[1]
    assert [(entry["type"], entry["accepted"]) for entry in history] == [
        ("placed", True), ("changed", True), ("cancelled", True), ("cancelled", True), ("changed", False),
    ]  # fmt: skip
    assert {entry["by"] for entry in history} == {"rest loopback"}


def test_orders_are_found_by_what_they_and_their_steps_say(orders: OrdersClient) -> None:
    days = ["20260201", "20260202", "20260203"]
    orders.place(*(ordered(10 + n, scheduled(ScheduledProcedureStepStartDate=day)) for n, day in enumerate(days)))
    orders.place(ordered(13, scheduled(Modality="MR", ScheduledProcedureStepStartDate="20260202"), PatientID="X"))
    answer = orders.ask("GET", "?ScheduledProcedureStepStartDate=20260201-20260202&Modality=CT")[1]
    assert keys(answer) == ["A10", "A11"]
    assert keys(orders.ask("GET", "?PatientID=X")[1]) == ["A13"]
    every = "?ScheduledProcedureStepStartDate=20260201-20260203&state=SCHEDULED"
    assert keys(orders.ask("GET", every)[1]) == ["A10", "A11", "A13", "A12"]
    assert keys(orders.ask("GET", f"{every}&limit=2&offset=1")[1]) == ["A11", "A13"]
    assert orders.ask("GET", f"{every}&limit=0")[1] == []
    assert orders.ask("GET", "?state=COMPLETED")[1] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("POST", "", {"00080050": {"vr": "SH", "Value": ["far too long a number"]}}, 400, "AccessionNumber"),
        ("POST", "", PATIENT, 400, "an order needs an AccessionNumber"),
        ("POST", "", [], 400, "one data set"),
        ("POST", "", nested(200), 400, "nested deeper than 8"),
        ("PATCH", "/A404", PATIENT, 404, "not found"),
        ("PATCH", "/A50", {}, 400, "nothing to change"),
        ("DELETE", "/A50", None, 400, "reason: say why"),
        ("DELETE", "/A50?reason=x&step=S9", None, 409, "there is no step S9"),
        ("GET", "/A404", None, 404, "not found"),
        ("GET", "/A404/history", None, 404, "not found"),
        ("GET", "/A50/other", None, 404, "not found"),
        ("GET", "?Colour=red", None, 400, "is not a parameter of orders"),
        ("GET", "?ScheduledProcedureStepStartDate=soon", None, 400, "ScheduledProcedureStepStartDate"),
        ("PUT", "/A50", PATIENT, 405, "PUT is not a method"),
    ],
)
def test_what_cannot_be_done_is_told(
    orders: OrdersClient, method: str, path: str, body: object, status: int, words: str
) -> None:
    orders.place(ordered(50))
    answered, answer = orders.ask(method, path, body)
    assert answered == status
    assert words in answer


def test_a_key_with_an_issuer_and_odd_characters_is_a_path(orders: OrdersClient) -> None:
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence as Items

    issuer = Dataset()
    issuer.LocalNamespaceEntityID = "ST/MARY"
    orders.place(ordered(60, AccessionNumber="A 60/1", IssuerOfAccessionNumberSequence=Items([issuer])))
    assert orders.ask("GET", "/A%252060%252F1%40ST%252FMARY")[0] == 200
    (path,) = orders.ask("GET", "?AccessionNumber=A%2060/1")[1][0]["00081190"]["Value"]
    assert orders.ask("GET", path.removeprefix("/dicom-web/orders"))[0] == 200


def gantry(data: Path, command: str, *arguments: object) -> tuple[int, str]:
    """`gantry orders`, run to its end in this process."""
    words = ["orders", command, "--data", str(data), *map(str, arguments)]
    result = CliRunner().invoke(main, words, env={"COLUMNS": "200"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_the_command_line_does_the_same_on_the_stores(tmp_path: Path) -> None:
    (tmp_path / "objects").mkdir()
    file = tmp_path / "order.json"
    file.write_text(json.dumps(ordered(1, scheduled("S1"), scheduled("S2")).to_json_dict()))
    assert gantry(tmp_path, "add", file)[0] == 0
    code, listing = gantry(tmp_path, "list", "-k", "Modality=CT", "--state", "SCHEDULED")
    assert code == 0
    assert [line.split()[0] for line in listing.splitlines()] == ["order", "A1", "A1"]
    assert gantry(tmp_path, "list", "--json")[1].count('"order": "A1"') == 2
    room = "ScheduledProcedureStepLocation=Room 9"
    assert "Room 9" in gantry(tmp_path, "change", "A1", room, "--step", "S2")[1]
    assert gantry(tmp_path, "change", "A1", "PatientID=P9")[0] == 0
    assert gantry(tmp_path, "cancel", "A1", "--reason", "a mistake", "--step", "S1")[0] == 0
    shown = json.loads(gantry(tmp_path, "show", "A1")[1])
    steps = shown["00400100"]["Value"]
    assert [step["00400020"]["Value"] for step in steps] == [["CANCELLED"], ["SCHEDULED"]]
    assert shown["00100020"]["Value"] == ["P9"]
    history = [json.loads(line) for line in gantry(tmp_path, "show", "A1", "--history")[1].splitlines()]
    assert [entry["type"] for entry in history] == ["placed", "changed", "changed", "cancelled"]
    assert all(entry["by"].startswith("cli ") for entry in history)
    assert gantry(tmp_path, "cancel", "A1", "--reason", "again", "--step", "S1") == (
        1, "Error: step S1 is cancelled already\n",
    )  # fmt: skip
    assert gantry(tmp_path, "show", "A9") == (1, "Error: there is no order A9\n")
    assert gantry(tmp_path, "change", "A1", "nonsense")[0] == 2
    assert gantry(tmp_path, "list", "-k", "Colour=red")[0] == 2


def test_other_roles_do_not_wait_until_all_orders_are_read(tmp_path: Path) -> None:
    running = RunningArchive(tmp_path)
    running.write_policy([], "orders: {start_within: 0.01, idle_days: 0}\n")
    (tmp_path / "data").mkdir()
    events = [placed(order(AccessionNumber=f"A{n}", StudyInstanceUID=f"1.{n}"), f"c{n}", f"A{n}") for n in range(600)]

    async def fill() -> None:
        log = await open_sqlite_log(tmp_path / "data" / "log.db", SystemClock())
        await log.append(*events)
        await log.close()

    asyncio.run(fill())
    running.start(failpoints="after-fold=sleep:5")
    try:
        status, words = OrdersClient(running).ask("GET", "?limit=1")
        assert (status, words) == (503, "starting: try again in a moment\n")
        deadline = time.monotonic() + 60
        while OrdersClient(running).ask("GET", "?AccessionNumber=A599")[0] == 503:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert keys(OrdersClient(running).ask("GET", "?AccessionNumber=A599")[1]) == ["A599"]
        with Modality(running.port) as modality:
            assert len(modality.worklist(AccessionNumber="A599")) == 1
    finally:
        assert running.stop() == 0


def test_who_may_not_order_only_looks(tmp_path_factory: pytest.TempPathFactory) -> None:
    running = RunningArchive(tmp_path_factory.mktemp("closed"))
    running.start()
    try:
        client = OrdersClient(running)
        assert client.ask("POST", "", ordered(1).to_json_dict())[0] == 403
        assert client.ask("GET") == (200, [])
    finally:
        running.stop()
