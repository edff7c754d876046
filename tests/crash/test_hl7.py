"""HL7 messages on the whole archive: what was answered AA is applied, whatever is killed; the rest can come again."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from gantry.common.errors import ConnectionFailed
from gantry.common.hl7.answers import Acknowledged, acknowledged
from gantry.common.hl7.message import parse
from gantry.common.net.mllp_client import MllpClient
from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_corrections import shown
from tests.crash.test_deletion import send as send_files
from tests.crash.test_upkeep import gantry, lose_log_and_index, stores_of, until_sealed
from tests.support.archive import RunningArchive
from tests.support.asking import uids_of
from tests.support.messages import order, patient, report
from tests.support.objects import study
from tests.support.ports import free_port

PROFILE = "{sender: 'RIS^*', authorities: ['HOSP='], stations: {CT: CT1}, confidential: [PV1-16]}"


def archive_of(make_archive: MakeArchive, *arguments: str, more: str = "") -> tuple[RunningArchive, int]:
    archive, port = make_archive(*arguments), free_port()
    archive.write_policy(
        [],
        "http: {may_correct: [loopback], may_operate: [loopback], may_order: [loopback]}\n"
        f"hl7: {{port: {port}, profiles: [{PROFILE}]}}\n{more}",
    )
    return archive, port


async def told(port: int, message: bytes) -> Acknowledged:
    """How a message is answered."""
    async with MllpClient("127.0.0.1", port) as client:
        return acknowledged(parse((await client.send(message)).decode()))


def ask(archive: RunningArchive, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, Any]:
    url = f"http://127.0.0.1:{archive.http_port}/dicom-web/{path}"
    request = urllib.request.Request(url, body, {"Content-Type": "application/hl7-v2"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.loads(response.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def described(archive: RunningArchive, key: str) -> list[str]:
    status, answer = ask(archive, f"orders/{key}")
    return [entry["00321060"]["Value"][0] for entry in answer] if status == 200 else []


def changes(archive: RunningArchive, key: str) -> int:
    return len(ask(archive, f"orders/{key}/history")[1])


@pytest.mark.parametrize("failpoint", ["before-publish", "after-apply", "before-answer"])
async def test_a_message_that_got_no_answer_comes_again_and_is_applied_once(
    make_archive: MakeArchive, failpoint: str
) -> None:
    archive, port = archive_of(make_archive)
    archive.start(failpoints=f"{failpoint}=kill@1")
    with pytest.raises(ConnectionFailed):
        await told(port, order(control_id="ONE"))
    archive.wait_dead()
    archive.start()
    answer = await told(port, order(control_id="ONE"))
    assert answer.accepted
    assert described(archive, "A100") == ["CT of the head"]
    assert changes(archive, "A100") == 1


async def test_what_was_answered_aa_is_there_after_a_kill_and_its_answer_too(make_archive: MakeArchive) -> None:
    archive, port = archive_of(make_archive)
    archive.start()
    async with MllpClient("127.0.0.1", port) as client:
        first = await client.send(order(control_id="ONE"))
        await client.send(order("XO", control_id="TWO", obr={4: "CTN^CT of the neck^LOCAL"}))
        archive.kill()
    archive.start()
    assert described(archive, "A100") == ["CT of the neck"]
    async with MllpClient("127.0.0.1", port) as client:
        # The very bytes: its time and control ID are those of the first answer.
        assert await client.send(order(control_id="ONE")) == first
        assert described(archive, "A100") == ["CT of the neck"]
    answer = await told(port, order(control_id="ONE", obr={4: "CTX^Something else^LOCAL"}))
    assert (answer.code, answer.problems[0].endswith("(205)")) == ("AR", True)
    assert changes(archive, "A100") == 2


async def test_updates_merges_and_changes_of_id_reach_studies_and_orders(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive, port = archive_of(make_archive)
    archive.start()
    files, other = study(tmp_path / "one", 1, patient="P1"), study(tmp_path / "other", 1, patient="P2")
    await send_files(archive, files, other)
    first, second = uids_of(files[0])[0], uids_of(other[0])[0]
    assert (await told(port, order(pid={3: "P1^^^HOSP"}, control_id="1"))).accepted
    update = patient("A08", pid={3: "P1^^^HOSP", 5: "NEW^NAME"}, control_id="2")
    assert (await told(port, update)).text == "patient corrected"
    assert (await shown(archive, first))[:2] == ("P1", "NEW^NAME")
    assert _order(archive)["00100010"]["Value"][0]["Alphabetic"] == "NEW^NAME"
    # The same is known: nothing is corrected twice.
    again = patient("A31", pid={3: "P1^^^HOSP", 5: "NEW^NAME"}, control_id="3")
    assert (await told(port, again)).text == "the patient is known like this"
    admission = patient("A04", pid={3: "P1^^^HOSP", 5: "ADMITTED^NAME"}, control_id="admission")
    assert (await told(port, admission)).text == "patient corrected"
    assert (await shown(archive, first))[:2] == ("P1", "ADMITTED^NAME")
    merge = patient("A40", pid={3: "P2^^^HOSP", 5: "SURVIVING^NAME"}, mrg={1: "P1^^^HOSP"}, control_id="4")
    assert (await told(port, merge)).text == "patients merged"
    assert (await shown(archive, first))[0] == "P2"
    assert _order(archive)["00100020"]["Value"] == ["P2"]
    circle = patient("A40", pid={3: "P1^^^HOSP"}, mrg={1: "P2^^^HOSP"}, control_id="5")
    assert (await told(port, circle)).code == "AE"
    change = patient("A47", pid={3: "P3^^^HOSP", 5: "SURVIVING^NAME"}, mrg={1: "P2^^^HOSP"}, control_id="6")
    assert (await told(port, change)).text == "patient identifier changed"
    for uid in (first, second):
        assert (await shown(archive, uid))[0] == "P3"
    assert _order(archive)["00100020"]["Value"] == ["P3"]
    nobody = patient("A08", pid={3: "NOBODY^^^HOSP"}, control_id="7")
    assert (await told(port, nobody)).text.startswith("no study and no order")
    archive.kill()
    archive.start()
    assert (await shown(archive, first))[0] == "P3"
    assert _order(archive)["00100020"]["Value"] == ["P3"]


async def test_images_that_come_after_their_patient_was_merged_or_corrected_are_of_the_right_one(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    # The collector looks all the time: what is said of a patient of whom there is nothing yet has to outlive it.
    archive, port = archive_of(
        make_archive, more="lifecycle: {collect_every: 0.3, erase_after: 0}\nupkeep: {seal_every: 0.2}\n"
    )
    archive.start()
    ordered = order(pid={3: "P1^^^HOSP", 5: "OLD^NAME"}, control_id="1")
    assert (await told(port, ordered)).accepted
    merge = patient("A40", pid={3: "P2^^^HOSP", 5: "SURVIVING^NAME"}, mrg={1: "P1^^^HOSP"}, control_id="2")
    assert (await told(port, merge)).text == "patients merged"
    assert _order(archive)["00100020"]["Value"] == ["P2"]
    # Nobody ever heard of the one who came by ambulance: not even an order names him.
    emergency = patient("A40", pid={3: "P3^^^HOSP", 5: "KNOWN^NOW"}, mrg={1: "TEMP1^^^HOSP"}, control_id="3")
    assert (await told(port, emergency)).text == "patients merged"
    other = {2: "P400", 3: "A400"}
    scheduled = order(pid={3: "P4^^^HOSP"}, orc=other, obr={**other, 18: "A400"}, control_id="4")
    assert (await told(port, scheduled)).accepted
    update = patient("A08", pid={3: "P4^^^HOSP", 5: "RIGHT^NAME"}, control_id="5")
    assert (await told(port, update)).text == "patient corrected, for what comes"
    again = patient("A08", pid={3: "P4^^^HOSP", 5: "RIGHT^NAME"}, control_id="6")
    assert (await told(port, again)).text == "the patient is known like this"
    # Who is confidential is so before anything was ordered.
    important = {3: "P5^^^HOSP", 5: "VERY^IMPORTANT"}
    marked = patient("A08", pid=important, pv1={16: "VIP"}, control_id="8")
    assert (await told(port, marked)).text == "patient corrected, for what comes"
    await asyncio.sleep(1.5)
    archive.kill()
    archive.start()
    circle = patient("A40", pid={3: "P1^^^HOSP"}, mrg={1: "P2^^^HOSP"}, control_id="7")
    assert (await told(port, circle)).code == "AE"
    came = {name: study(tmp_path / name, 1, patient=name) for name in ("P1", "TEMP1", "P4", "P5")}
    await send_files(archive, *came.values())
    seen = {name: (await shown(archive, uids_of(images[0])[0]))[:2] for name, images in came.items()}
    assert seen == {
        "P1": ("P2", "SURVIVING^NAME"),
        "TEMP1": ("P3", "KNOWN^NOW"),
        "P4": ("P4", "RIGHT^NAME"),
        "P5": ("P5", seen["P5"][1]),  # nothing but the mark was kept of him
    }
    assert seen["P5"][1] != "VERY^IMPORTANT"
    # A new ID that is known by its images already, of one that nobody knew: nothing there that a merge could mix up.
    renamed = patient("A47", pid={3: "P2^^^HOSP"}, mrg={1: "NEVER^^^HOSP"}, control_id="9")
    assert (await told(port, renamed)).accepted
    (vip,) = ask(archive, f"studies/{uids_of(came['P5'][0])[0]}/series?includefield=00403001")[1]
    assert vip["00403001"]["Value"] == ["VIP"]


def _order(archive: RunningArchive) -> dict[str, Any]:
    (document,) = ask(archive, "orders/A100")[1]
    return dict(document)


async def test_what_could_not_be_applied_waits_and_is_applied_when_it_comes_again(make_archive: MakeArchive) -> None:
    archive, port = archive_of(make_archive)
    archive.start()
    early = order("XO", control_id="EARLY", obr={4: "CTN^CT of the neck^LOCAL"})
    assert (await told(port, early)).code == "AE"
    assert (await told(port, order(control_id="WRONG", obr={18: "A" * 20}))).code == "AE"
    archive.kill()
    archive.start()
    listed = ask(archive, "hl7/quarantine")[1]
    assert {message["control_id"]: message["kind"] for message in listed} == {"EARLY": "ORM^O01", "WRONG": "ORM^O01"}
    assert (await told(port, order(control_id="FIRST"))).accepted
    # The very same bytes: what it lacked is there now.
    names = {message["control_id"]: message["id"] for message in listed}
    status, answer = ask(archive, f"hl7/quarantine/{names['EARLY']}/replay", "POST", b"")
    assert (status, answer["code"]) == (200, "AA")
    assert described(archive, "A100") == ["CT of the neck"]
    repaired = order(control_id="WRONG", obr={18: "A7"})
    status, answer = ask(archive, f"hl7/quarantine/{names['WRONG']}/replay", "POST", repaired)
    assert (status, answer["code"]) == (200, "AA")
    assert described(archive, "A7") == ["CT of the head"]
    assert ask(archive, "hl7/quarantine")[1] == []
    assert {message["state"] for message in ask(archive, "hl7/quarantine?state=all")[1]} == {"applied"}


@embedded
async def test_the_command_line_checks_sends_lists_repairs_and_discards(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive, port = archive_of(make_archive)
    archive.start()
    good, bad = tmp_path / "good.hl7", tmp_path / "bad.hl7"
    good.write_bytes(order(control_id="GOOD"))
    bad.write_bytes(order(control_id="BAD", obr={18: "A" * 20}).replace(b"\r", b"\n"))
    assert _hl7(archive, "check", str(good)) == (0, "ORM^O01 GOOD of RIS^HOSPITAL\n  place order A100\n")
    assert described(archive, "A100") == []
    code, text = _hl7(archive, "check", str(bad))
    assert code == 1
    assert "OBR-18" in text
    assert _hl7(archive, "send", str(good), f"127.0.0.1:{port}")[0] == 0
    code, text = _hl7(archive, "send", str(bad), f"127.0.0.1:{port}")
    assert (code, "BAD: AE not applied" in text) == (1, True)
    assert _hl7(archive, "send", str(good), f"127.0.0.1:{free_port()}")[0] == 2
    name = json.loads(gantry(archive, "hl7", "quarantine", "list", "--json").stdout)["id"]
    shown_text = gantry(archive, "hl7", "quarantine", "show", name[:6]).stdout
    bad.write_text(shown_text.replace("A" * 20, "A8"))
    assert gantry(archive, "hl7", "quarantine", "replay", name, "--file", str(bad)).returncode == 0
    assert described(archive, "A8") == ["CT of the head"]
    assert "no open messages" in gantry(archive, "hl7", "quarantine", "list").stdout
    assert (await told(port, order("HD", control_id="HOLD"))).code == "AE"
    name = json.loads(gantry(archive, "hl7", "quarantine", "list", "--json").stdout)["id"]
    assert gantry(archive, "hl7", "quarantine", "discard", name, "--reason", "a test").returncode == 0
    assert "discarded" in gantry(archive, "hl7", "quarantine", "list", "--all").stdout


@embedded
async def test_over_http_only_operators_look_at_messages_and_decide(make_archive: MakeArchive) -> None:
    archive, port = archive_of(make_archive)
    archive.start()
    assert (await told(port, order("HD", control_id="HOLD"))).code == "AE"
    name = ask(archive, "hl7/quarantine")[1][0]["id"]
    assert ask(archive, f"hl7/quarantine/{name}")[1]["text"].startswith("MSH|^~\\&|RIS|HOSPITAL")
    for path, method, body, status in (
        ("hl7/quarantine/ffff", "GET", None, 404),
        ("hl7/other", "GET", None, 404),
        ("hl7/quarantine?state=half", "GET", None, 400),
        (f"hl7/quarantine/{name}/mend", "POST", b"", 404),
        (f"hl7/quarantine/{name}/discard", "POST", b"", 400),
    ):
        assert ask(archive, path, method, body)[0] == status, path
    assert ask(archive, f"hl7/quarantine/{name}/discard?reason=a+test", "POST", b"") == (200, {"discarded": name})
    assert ask(archive, "hl7/quarantine")[1] == []
    archive.stop()
    archive.write_policy([], "http: {may_order: [loopback]}\n")
    archive.start()
    assert ask(archive, "hl7/quarantine")[0] == 403
    assert ask(archive, f"hl7/quarantine/{name}/replay", "POST", b"")[0] == 403


@embedded
async def test_several_processes_share_the_port_and_what_was_answered(make_archive: MakeArchive) -> None:
    archive, port = archive_of(make_archive, "--workers", "2")
    archive.start()
    answers = [await told(port, order(control_id="ONE")) for _ in range(12)]
    assert {answer.code for answer in answers} == {"AA"}
    assert changes(archive, "A100") == 1
    assert {(await told(port, order(control_id="ONE", obr={18: "A2"}))).code for _ in range(6)} == {"AR"}


def _hl7(archive: RunningArchive, *arguments: str) -> tuple[int, str]:
    """`gantry hl7 …` with the settings of an archive, of which it needs no store."""
    import os
    import subprocess
    import sys

    from tests.support.archive import IMPORTS, ROOT

    environment = {**os.environ, "PYTHONPATH": IMPORTS, "GANTRY_CONFIG": str(archive.config)}
    command = [sys.executable, "-m", "gantry", "hl7", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize("failpoint", ["before-publish", "after-apply", "before-answer"])
async def test_a_report_is_of_its_order_and_study_whatever_is_killed(
    make_archive: MakeArchive, tmp_path: Path, failpoint: str
) -> None:
    archive, port = archive_of(make_archive)
    archive.start()
    files = study(tmp_path / "files", 1, patient="P1")
    await send_files(archive, files)
    uid = uids_of(files[0])[0]
    draft = report("P", "Perhaps a fracture.", pid={3: "P1^^^HOSP"}, control_id="DRAFT")
    assert (await told(port, draft)).code == "AE", "there is no order yet"
    placed = order(pid={3: "P1^^^HOSP"}, more=(f"ZDS|{uid}^Gantry^Application^DICOM",), control_id="ORDER")
    assert (await told(port, placed)).accepted
    (waiting,) = ask(archive, "hl7/quarantine")[1]
    assert gantry(archive, "hl7", "quarantine", "replay", waiting["id"]).returncode == 0
    assert _report(archive)["status"] == "preliminary"
    assert archive.stop() == 0
    archive.start(failpoints=f"{failpoint}=kill@1")
    final = report("F", "No fracture.", pid={3: "P1^^^HOSP"}, control_id="FINAL")
    with pytest.raises(ConnectionFailed):
        await told(port, final)
    archive.wait_dead()
    archive.start()
    assert (await told(port, final)).accepted
    document = _report(archive)
    assert (document["status"], document["studies"], document["message"]) == ("final", [uid], "FINAL")
    assert document["attributes"]["0040A160"]["Value"] == ["Impression:\nNo fracture."]
    assert [event["type"] for event in ask(archive, "orders/A100/history")[1]] == ["placed", "reported", "reported"]
    # What is final stays so, and a report on somebody else is not taken.
    late = report("P", pid={3: "P1^^^HOSP"}, control_id="LATE")
    assert (await told(port, late)).code == "AE"
    assert (await told(port, report("C", pid={3: "P2^^^HOSP"}, control_id="OTHER"))).code == "AE"
    assert _report(archive)["status"] == "final"
    where = gantry(archive, "where", uid).stdout
    assert [line in where for line in ("reported: preliminary, order A100", "reported: final, order A100")] == [
        True
    ] * 2
    assert archive.stop() == 0


async def test_a_report_comes_back_from_the_bucket_and_is_erased_with_its_order(make_archive: MakeArchive) -> None:
    archive, port = archive_of(make_archive)
    archive.config.write_text(archive.config.read_text().replace("may_order", "may_delete: [loopback], may_order"))
    archive.start()
    assert (await told(port, order(control_id="ORDER"))).accepted
    final = report(text="No fracture, XYZZY.", control_id="FINAL")
    assert (await told(port, final)).accepted
    await until_sealed(archive)
    assert archive.stop() == 0
    lose_log_and_index(archive)
    restored = gantry(archive, "restore")
    assert restored.returncode == 0, restored.stderr
    archive.start()
    assert "XYZZY" in str(_report(archive))
    # Who is not known to have been answered is answered again, and nothing is done twice.
    assert (await told(port, final)).accepted
    assert changes(archive, "A100") == 2
    status, words = ask(archive, "orders/A100?erase=true&reason=the+law", "DELETE")
    assert status == 204, words
    assert ask(archive, "orders/A100/report")[0] == 404
    assert "XYZZY" not in str(ask(archive, "orders/A100/history"))
    async with stores_of(archive) as stores:
        assert [stat.key async for stat in stores.objects.list("order-values/")] == []
    assert archive.stop() == 0


def _report(archive: RunningArchive) -> dict[str, Any]:
    status, document = ask(archive, "orders/A100/report")
    assert status == 200, document
    return dict(document)
