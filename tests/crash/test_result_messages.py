"""HL7 receivers of rules, on the whole archive, in both topologies: they get everything once they are there, whatever
is killed, and what was sent before is known by its control ID."""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path

import pytest

from gantry.common.hl7.message import Hl7Message
from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_deletion import delete, done, send
from tests.crash.test_routing import listed, until_delivered
from tests.crash.test_upkeep import gantry
from tests.support.archive import RunningArchive
from tests.support.asking import uids_of, until
from tests.support.audit_schema import require_valid
from tests.support.mllp_receiver import acknowledgement, mllp_receiver
from tests.support.objects import study
from tests.support.ports import free_port

pytestmark = pytest.mark.timeout(240)
SETTINGS = """\
http: {may_delete: [loopback], may_correct: [loopback], may_order: [loopback]}
completion: {quiet: 0.5}
routing:
  receivers: [%s]
  rules: [%s]
  retry_first: 1
  retry_longest: 2
  refused: 2
"""
ENDED = {"delivered", "cancelled", "failed"}
RULE = "{name: planner, where: ['PatientID=P1'], notify: [RIS], corrections: true}"


def telling(archive: RunningArchive, port: int, rule: str = RULE, more: str = "") -> RunningArchive:
    receiver = f"{{name: RIS, host: 127.0.0.1, port: {port}, application: RIS, response_timeout: 5{more}}}"
    peers = ["{ae_title: TEST_SCU, host: 127.0.0.1, may: [store, find, echo]}"]
    archive.write_policy(peers, SETTINGS % (receiver, rule))
    return archive


def values(message: Hl7Message, *places: str) -> list[str]:
    """The first components of fields such as OBR-25."""
    texts = []
    for place in places:
        name, _, number = place.partition("-")
        segment = message.first(name)
        texts.append("" if segment is None else segment.text(int(number)))
    return texts


async def test_a_receiver_is_told_what_came_was_corrected_deleted_and_came_back(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    async with mllp_receiver() as ris:
        archive = telling(make_archive(), ris.port, more=", link: 'https://pacs.example/v?s={study}'").start()
        place_order(archive)
        files = study(tmp_path / "files", 2, patient="P1", name="Doe|^Jane & Co", AccessionNumber="A17")
        others = study(tmp_path / "others", 1, patient="P2")
        await send(archive, files, others)
        await until(lambda: len(ris.came) == 1)
        uid, _ = uids_of(files[0])
        (message,) = ris.messages
        assert values(message, "OBX-5", "OBR-18", "OBR-25", "OBX-11", "PID-3") == [uid, "A17", "R", "O", "P1"]
        assert values(message, "PID-5", "OBR-2", "OBR-3", "ORC-2") == ["Doe|", "PL17", "F17", "PL17"]
        assert message.all("OBX")[1].text(5) == f"https://pacs.example/v?s={uid}"
        done(archive, "correct", uid, "--set", "StudyDescription=Neck | thorax", "--reason", "wrong")
        await until(lambda: len(ris.came) == 2)
        assert values(ris.messages[1], "OBR-25", "OBX-11", "OBX-5") == ["C", "C", uid]
        described = ris.messages[1].first("OBR")
        assert described is not None
        assert described.text(4, 2) == "Neck | thorax"
        assert delete(archive, uid)[0] == 204
        await until(lambda: len(ris.came) == 3)
        assert values(ris.messages[2], "OBR-25", "OBX-11", "PID-3", "OBX-5") == ["C", "D", "P1", uid]
        done(archive, "undelete", uid, "--reason", "right")
        await until(lambda: len(ris.came) == 4)
        assert values(ris.messages[3], "OBR-25", "OBX-11") == ["C", "C"]
        states = await until_delivered(archive, 4)
        kinds = ["availability", "correction", "availability change", "availability change"]
        assert [state["kind"] for state in states] == kinds
        assert len({message.control_id for message in ris.messages}) == 4
        check = gantry(archive, "routes", "check", uid).stdout
        assert "RIS          an HL7 message  planner" in check, check
        assert archive.metric("gantry_hl7_sent_total") == 4
        await on_record(archive)
        assert archive.stop() == 0


async def on_record(archive: RunningArchive) -> None:
    """Until the audit trail names whom the receiver was told of; as AuditMessage, it agrees with the standard."""
    async with asyncio.timeout(60):
        while True:
            output = (await asyncio.to_thread(gantry, archive, "audit", "who", "P1", "--form", "xml")).stdout
            lines = [line for line in output.splitlines() if "HL7 ORU^R01" in line]
            if lines:
                break
            await asyncio.sleep(0.5)
    for line in lines:
        require_valid(line.encode())
        assert 'UserID="RIS"' in line


def place_order(archive: RunningArchive) -> None:
    body = (
        b'{"00080050": {"vr": "SH", "Value": ["A17"]}, "00100020": {"vr": "LO", "Value": ["P1"]},'
        b' "00402016": {"vr": "LO", "Value": ["PL17"]}, "00402017": {"vr": "LO", "Value": ["F17"]},'
        b' "00401001": {"vr": "SH", "Value": ["RP1"]}, "00400100": {"vr": "SQ", "Value":'
        b' [{"00080060": {"vr": "CS", "Value": ["CT"]}}]}}'
    )
    url = f"http://127.0.0.1:{archive.http_port}/dicom-web/orders"
    request = urllib.request.Request(url, body, {"Content-Type": "application/dicom+json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.status == 201


async def test_a_receiver_that_is_away_is_told_everything_and_a_second_time_by_the_same_control_id(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    port = free_port()
    archive = telling(make_archive(), port, "{name: planner, notify: [RIS]}").start()
    await send(archive, study(tmp_path / "one", 2, patient="P1"), study(tmp_path / "two", 1, patient="P2"))
    async with asyncio.timeout(60):
        while len(states := await listed(archive)) != 2 or not any(state["attempts"] for state in states):
            await asyncio.sleep(0.3)
    assert any("RIS: no connection to 127.0.0.1" in state["why"] for state in states)
    archive.kill()
    async with mllp_receiver(port) as ris:
        # It dies with a message acknowledged, and that not said.
        archive.start(failpoints="before-publish=kill@1", ready=False)
        await asyncio.to_thread(archive.wait_dead, 60)
        assert len(ris.came) == 1
        archive.start(ready=False)
        await asyncio.sleep(0.7)
        archive.kill()
        archive.start()
        await until_delivered(archive, 2)
        assert len(ris.came) >= 3
        # What came twice is the same, byte by byte.
        by_id = {message.control_id: raw for message, raw in zip(ris.messages, ris.came, strict=True)}
        assert len(by_id) == 2
        assert set(by_id.values()) == set(ris.came)
    assert archive.stop() == 0


@embedded
async def test_what_a_receiver_refuses_fails_in_words_and_is_sent_again_by_a_person(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    async with mllp_receiver() as ris:
        ris.answer = lambda message: acknowledgement(message, "AE", "no such order")
        archive = telling(make_archive(), ris.port).start()
        await send(archive, study(tmp_path / "files", 1, patient="P1"))
        async with asyncio.timeout(30):
            while not (failed := await listed(archive, "--failed")):
                await asyncio.sleep(0.3)
        (state,) = failed
        assert (state["state"], state["attempts"], state["why"]) == ("failed", 1, "RIS answered AE: no such order")
        assert len(ris.came) == 2
        assert ris.came[0] == ris.came[1]
        ris.answer = acknowledgement
        again = await asyncio.to_thread(gantry, archive, "routes", "retry", "--all")
        assert again.returncode == 0, again.stderr
        await until(lambda: len(ris.came) == 3)
        # A person wants it told anew: no receiver may pass over it as a repetition.
        assert ris.messages[2].control_id != ris.messages[0].control_id
        assert archive.stop() == 0


@embedded
async def test_what_waits_for_a_receiver_can_be_cancelled(make_archive: MakeArchive, tmp_path: Path) -> None:
    port = free_port()
    archive = telling(make_archive(), port).start()
    await send(archive, study(tmp_path / "files", 1, patient="P1"))
    async with asyncio.timeout(60):
        while not await listed(archive):
            await asyncio.sleep(0.3)
    cancelled = await asyncio.to_thread(gantry, archive, "routes", "cancel", "--destination", "RIS")
    assert cancelled.returncode == 0, cancelled.stderr
    async with mllp_receiver(port) as ris:
        await asyncio.sleep(4)
        assert ris.came == []
    assert archive.stop() == 0


@embedded
async def test_a_receiver_called_as_an_ae_title_is_refused_at_the_start(make_archive: MakeArchive) -> None:
    archive = telling(make_archive(), free_port(), "{name: all, notify: [TEST_SCU]}")
    archive.config.write_text(archive.config.read_text().replace("name: RIS", "name: TEST_SCU"))
    archive.start(ready=False)
    await asyncio.to_thread(archive.wait_dead, 60)
    assert "TEST_SCU is an AE title of `peers`, too" in archive.log.read_text()


async def test_a_receiver_of_patients_is_told_what_they_are_called_whatever_is_killed(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    port = free_port()
    archive = telling(make_archive(), port, "", ", patients: true").start()
    first, other = study(tmp_path / "one", 1, patient="P1"), study(tmp_path / "other", 1, patient="P2", name="Roe^Ann")
    await send(archive, first, other, study(tmp_path / "third", 1, patient="P3"))
    for patient in ("P1", "P3"):
        done(archive, "correct", "--patient", patient, "--set", "PatientName=Poe^Eva", "--reason", "misspelt")
    archive.kill()
    archive.start()
    done(archive, "merge", "P1", "--into", "P2", "--reason", "one person")
    done(archive, "change-id", "P2", "--to", "N2", "--reason", "new numbers")
    async with mllp_receiver(port) as ris:
        ris.answer = lambda message: b""
        await until(lambda: len(ris.came) >= 2)  # it hears, and dies before it answers
        archive.kill()
        archive.start()
        ris.answer = acknowledgement
        async with asyncio.timeout(90):
            while (
                len(states := await listed(archive, "--all")) != 4 or not {state["state"] for state in states} <= ENDED
            ):
                await asyncio.sleep(0.5)
        # Of one that was merged since, the merge says all there is to say.
        assert [state["state"] for state in states] == ["cancelled", "delivered", "delivered", "delivered"]
        by_kind = {message.kind: message for message in ris.messages}
        assert set(by_kind) == {"ADT^A08", "ADT^A40", "ADT^A47"}
        assert values(by_kind["ADT^A08"], "PID-3", "PID-5") == ["P3", "Poe"]
        assert values(by_kind["ADT^A40"], "PID-3", "MRG-1") == ["P2", "P1"]
        assert values(by_kind["ADT^A47"], "PID-3", "MRG-1") == ["N2", "P2"]
        assert [state["study"] for state in states] == [None] * 4
        assert all(state["patient"] for state in states)
        assert "Poe" not in archive.log.read_text()
    assert archive.stop() == 0
