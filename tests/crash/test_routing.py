"""Studies that rules send on, on the whole archive, in both topologies: everything arrives, once the destination is
there, whatever is killed."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.sop_class import InstanceAvailabilityNotification

from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_deletion import send
from tests.crash.test_upkeep import gantry
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, uids_of, until
from tests.support.dcmtk import StoreScp, content
from tests.support.objects import bytes_of, data_set, study, write
from tests.support.ports import free_port
from tests.support.pynetdicom_peers import Scp

pytestmark = pytest.mark.timeout(240)
SETTINGS = (
    "http: {may_delete: [loopback]}\n"
    "completion: {quiet: 0.5}\n"
    "retrieve: {suboperation_retries: 0}\n"
    "routing: {rules: [%s], retry_first: 1, retry_longest: 2, refused: 2}\n"
)
ALL = "{name: everything, to: [READING]}"


def routing(archive: RunningArchive, port: int, rules: str = ALL, *more: str) -> RunningArchive:
    reading = f"{{ae_title: READING, host: 127.0.0.1, port: {port}, may: [], move_destination: true}}"
    archive.write_policy([reading, *more], SETTINGS % rules)
    return archive


async def listed(archive: RunningArchive, *options: str) -> list[dict[str, Any]]:
    result = await asyncio.to_thread(gantry, archive, "routes", "list", "--json", *options)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


async def until_delivered(archive: RunningArchive, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(90):
        while True:
            states = await listed(archive, "--all")
            if [state["state"] for state in states] == ["delivered"] * count:
                return states
            await asyncio.sleep(0.5)


async def test_a_study_is_sent_on_when_it_is_complete_and_what_comes_late_alone_follows(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    with StoreScp(tmp_path / "reading", "READING") as reading:
        rules = "{name: by source, sources: [TEST_SCU], where: ['PatientID=P1'], to: [READING]}"
        archive = routing(make_archive(), reading.port, rules).start()
        files, others = study(tmp_path / "files", 4, series=2, patient="P1"), study(tmp_path / "o", 1, patient="P2")
        await send(archive, files, others)
        (state,) = await until_delivered(archive, 1)
        assert (state["rule"], state["completed"], state["failed"]) == ("by source", 4, 0)
        assert set(reading.received()) == {file.sop_instance_uid for file in files}
        first = files[0]
        assert content(reading.received()[first.sop_instance_uid])[1] == bytes_of(first)
        uid, series = uids_of(first)
        late = write(tmp_path / "late", data_set(study=uid, series=series, number=9, patient="P1"))
        await Modality(archive.peer, [late, first]).send_all()
        states = await until_delivered(archive, 2)
        # The object that was sent again with the same bytes is there already.
        assert states[1]["completed"] == 1
        assert late.sop_instance_uid in reading.received()
        async with asyncio.timeout(60):  # who got what is told beside the work
            while "READING" not in (await asyncio.to_thread(gantry, archive, "where", uid)).stdout:
                await asyncio.sleep(0.2)
        check = gantry(archive, "routes", "check", uid).stdout
        assert "READING" in check, check
        assert archive.stop() == 0


async def test_a_destination_that_is_away_gets_everything_when_it_comes_whatever_is_killed(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    port = free_port()
    archive = routing(make_archive(), port).start()
    first, second = study(tmp_path / "one", 3, patient="P1"), study(tmp_path / "two", 2, patient="P2")
    await send(archive, first, second)
    async with asyncio.timeout(60):
        while len(states := await listed(archive)) != 2 or not any(state["attempts"] for state in states):
            await asyncio.sleep(0.3)
    assert any("READING" in state["why"] for state in states)
    archive.kill()
    archive.start()
    await asyncio.sleep(2)
    archive.kill()
    with StoreScp(tmp_path / "reading", "READING", port=port) as reading:
        archive.start(failpoints="before-publish=kill@1", ready=False)
        await asyncio.sleep(8)  # it dies with a study sent, and that not said
        archive.kill()
        archive.start()
        await until_delivered(archive, 2)
        assert set(reading.received()) == {file.sop_instance_uid for file in (*first, *second)}
    assert archive.stop() == 0


@embedded
async def test_what_a_destination_does_not_take_fails_alone_and_is_sent_again_by_a_person(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    files = study(tmp_path / "files", 3, patient="P1")
    refused, taken = {files[1].sop_instance_uid}, list[str]()

    def store(event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        if uid in refused:
            return 0xC000
        taken.append(uid)
        return 0x0000

    with Scp("READING", handlers=[(evt.EVT_C_STORE, store)]) as reading:
        archive = routing(make_archive(), reading.port).start()
        await send(archive, files)
        async with asyncio.timeout(60):
            while not (failed := await listed(archive, "--failed")):
                await asyncio.sleep(0.3)
        assert (failed[0]["completed"], failed[0]["failed"], failed[0]["attempts"]) == (2, 1, 1)
        # Those that were taken were sent once.
        assert sorted(taken) == sorted({file.sop_instance_uid for file in files} - refused)
        refused.clear()
        result = gantry(archive, "routes", "retry", "--all")
        assert result.returncode == 0, result.stderr
        await until(lambda: files[1].sop_instance_uid in taken)
        assert archive.metric("gantry_routes_ended_total") >= 1
        assert archive.stop() == 0


@embedded
async def test_a_dead_destination_holds_up_no_other_and_a_route_can_be_cancelled(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    with StoreScp(tmp_path / "reading", "READING") as reading:
        dead = f"{{ae_title: DEAD, host: 127.0.0.1, port: {free_port()}, may: [], move_destination: true}}"
        rules = "{name: both, to: [DEAD, READING]}, {name: nobody, to: [UNKNOWN]}"
        archive = routing(make_archive(), reading.port, rules, dead).start()
        first, second = study(tmp_path / "one", 2, patient="P1"), study(tmp_path / "two", 2, patient="P2")
        await send(archive, first, second)
        await until(lambda: len(reading.received()) == 4)
        async with asyncio.timeout(60):
            while len(waits := await listed(archive)) != 4 or not all(state["why"] for state in waits):
                await asyncio.sleep(0.3)
        assert sorted(state["destination"] for state in waits) == ["DEAD", "DEAD", "UNKNOWN", "UNKNOWN"]
        result = gantry(archive, "routes", "cancel", "--destination", "DEAD")
        assert (result.returncode, "cancelled: 2" in result.stdout) == (0, True), result.stderr
        left = await listed(archive)
        assert {state["destination"] for state in left} == {"UNKNOWN"}
        assert gantry(archive, "routes", "cancel").returncode == 2
        await until(lambda: archive.metric("gantry_routes_open") == 2)
        assert archive.stop() == 0


async def test_a_planner_is_told_which_instances_are_here(make_archive: MakeArchive, tmp_path: Path) -> None:
    """PS3.4 R, PS3.3 C.4.23."""
    notices: list[Dataset] = []
    answers = [0xA700, 0x0000]

    def create(event: evt.Event) -> tuple[int, Dataset | None]:
        status = answers.pop(0) if answers else 0x0000
        if not status:
            notices.append(event.attribute_list)
        return status, None

    notification = str(InstanceAvailabilityNotification)
    with Scp("RIS", handlers=[(evt.EVT_N_CREATE, create)], contexts=[notification]) as ris:
        archive = make_archive()
        peer = f"{{ae_title: RIS, host: 127.0.0.1, port: {ris.port}, may: []}}"
        archive.write_policy([peer], SETTINGS % "{name: planner, notify: [RIS]}")
        archive.start()
        files = study(tmp_path / "files", 3, series=2, patient="P1")
        await send(archive, files)
        (state,) = await until_delivered(archive, 1)
        assert (state["kind"], state["attempts"], state["completed"]) == ("availability", 1, 3)
        (notice,) = notices
        assert notice.StudyInstanceUID == uids_of(files[0])[0]
        assert len(notice.ReferencedSeriesSequence) == 2
        references = [item for series in notice.ReferencedSeriesSequence for item in series.ReferencedSOPSequence]
        assert {item.ReferencedSOPInstanceUID for item in references} == {file.sop_instance_uid for file in files}
        assert {(item.InstanceAvailability, item.RetrieveAETitle) for item in references} == {("ONLINE", "GANTRY")}
        where = await asyncio.to_thread(gantry, archive, "where", notice.StudyInstanceUID)
        assert "RIS, availability by the rule planner: delivered at " in where.stdout, where
        assert archive.stop() == 0


def in_hours(begins: float, ends: float) -> str:
    """A window of the day from so many hours after now to so many, in UTC."""
    now = datetime.now(UTC)
    return "-".join(f"{now + timedelta(hours=hours):%H:%M}" for hours in (begins, ends))


async def test_objects_wait_for_the_time_of_their_rule_and_a_person_need_not(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    with StoreScp(tmp_path / "reading", "READING") as reading:
        rule, later, now = "{name: night, to: [READING], between: '%s'}", in_hours(2, 4), in_hours(-2, 4)
        archive = routing(make_archive(), reading.port, rule % later)
        archive.config.write_text(archive.config.read_text().replace("routing: {", "routing: {time_zone: UTC, "))
        archive.start()
        files, others = study(tmp_path / "one", 2, patient="P1"), study(tmp_path / "two", 1, patient="P2")
        await send(archive, files, others)
        async with asyncio.timeout(60):
            while len(states := await listed(archive)) != 2:
                await asyncio.sleep(0.3)
        assert {(state["state"], state["attempts"]) for state in states} == {("waits for its time", 0)}
        assert all(state["next"] for state in states)
        first = next(state for state in states if state["study"] == uids_of(files[0])[0])
        assert (await asyncio.to_thread(gantry, archive, "routes", "cancel", first["route"])).returncode == 0
        assert (await asyncio.to_thread(gantry, archive, "routes", "retry", first["route"])).returncode == 0
        await until(lambda: set(reading.received()) == {file.sop_instance_uid for file in files})
        await asyncio.sleep(2)
        (still,) = await listed(archive)
        assert (still["study"], still["state"]) == (uids_of(others[0])[0], "waits for its time")
        archive.kill()
        archive.config.write_text(archive.config.read_text().replace(later, now))
        archive.start()
        await until(lambda: len(reading.received()) == 3)
        assert archive.stop() == 0


@embedded
async def test_what_is_urgent_goes_first_and_says_so(make_archive: MakeArchive, tmp_path: Path) -> None:
    came: list[tuple[str, int]] = []

    def store(event: evt.Event) -> int:
        came.append((str(event.request.AffectedSOPInstanceUID), int(event.request.Priority)))
        return 0x0000

    rules = (
        "{name: stroke, where: ['PatientID=P3'], to: [READING], priority: high},"
        "{name: research, where: ['PatientID=P1'], to: [READING], priority: low},"
        "{name: rest, where: ['PatientID=P2'], to: [READING]}"
    )
    port = free_port()
    archive = routing(make_archive(), port, rules).start()
    studies = [study(tmp_path / name, 1, patient=name) for name in ("P1", "P2", "P3")]
    await send(archive, studies[0])
    for later in studies[1:]:
        await Modality(archive.peer, later).send_all()
    async with asyncio.timeout(60):
        while len(await listed(archive)) != 3:
            await asyncio.sleep(0.3)
    with Scp("READING", port=port, handlers=[(evt.EVT_C_STORE, store)]):
        await until(lambda: len(came) == 3)
    # PS3.7 9.3.1.1: HIGH 0001H, MEDIUM 0000H, LOW 0002H.
    assert came == [(files[0].sop_instance_uid, code) for files, code in zip(reversed(studies), (1, 0, 2), strict=True)]
    assert archive.stop() == 0
