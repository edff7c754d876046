"""A dependency that is cut off, slow or refuses: a sender hears A700H within the deadline, reads degrade alone, and all
is well again when the dependency is."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Awaitable, Callable, Sequence

import pytest

from gantry.cli.files import DicomFile
from gantry.cli.store import send_files
from gantry.common.dicom.standard.sop_classes import PATIENT_ROOT_FIND
from gantry.services.roles import Role
from tests.faults.conftest import DEADLINE, Cluster
from tests.support.asking import expect_exactly, find, get, uids_of
from tests.support.objects import study

Step = Callable[[Cluster], Awaitable[None]]
SLACK = 3.0
"""Seconds for a machine that has much to do."""
SLOW_DOWN = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: 64\r\n\r\n"
    + b"<Error><Code>SlowDown</Code><Message>later</Message></Error>".ljust(64)
)


async def store(cluster: Cluster, files: Sequence[DicomFile]) -> list[tuple[int | None, float]]:
    """The status of each, and after how many seconds it came."""
    loop = asyncio.get_running_loop()
    answers: list[tuple[int | None, float]] = []
    since = loop.time()

    def done(file: DicomFile, status: int | None) -> None:
        nonlocal since
        answers.append((status, loop.time() - since))
        since = loop.time()

    await send_files(cluster.roles.peer(Role.INGEST), files, timeout=30.0, done=done)
    return answers


async def cut(cluster: Cluster, name: str) -> None:
    cluster.links[name].cut()


async def mend(cluster: Cluster, name: str) -> None:
    cluster.links[name].mend()


async def s3_says_503(cluster: Cluster) -> None:
    cluster.links["s3"].answer(SLOW_DOWN)


async def s3_takes_its_time(cluster: Cluster) -> None:
    cluster.links["s3"].slow_down(DEADLINE)


def opensearch(cluster: Cluster, method: str, path: str, body: object) -> None:
    request = urllib.request.Request(
        f"{cluster.servers['opensearch'].server.endpoint}{path}",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
        method=method,
    )
    urllib.request.urlopen(request, timeout=20).close()


async def read_only(cluster: Cluster, value: bool | None) -> None:
    prefix = cluster.environment["GANTRY_STORAGE__INDEX"].rpartition("/")[2]
    body = {"index.blocks.read_only_allow_delete": value}
    await asyncio.to_thread(opensearch, cluster, "PUT", f"/{prefix}-*/_settings", body)


REFUSED: dict[str, tuple[Step, Step]] = {
    "s3 is cut off": (lambda c: cut(c, "s3"), lambda c: mend(c, "s3")),
    "s3 answers 503": (s3_says_503, lambda c: mend(c, "s3")),
    "s3 takes its time": (s3_takes_its_time, lambda c: mend(c, "s3")),
    "kafka is cut off": (lambda c: cut(c, "kafka"), lambda c: mend(c, "kafka")),
}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("fault", REFUSED)
async def test_a_sender_hears_within_the_deadline_and_searches_go_on(cluster: Cluster, fault: str) -> None:
    harm, undo = REFUSED[fault]
    before, refused = study(cluster.folder / "a", 4), study(cluster.folder / "b", 3)
    assert [status for status, _ in await store(cluster, before)] == [0] * 4
    await expect_exactly(cluster.roles.asker, before, cluster.folder / "got")
    await harm(cluster)
    answers = await store(cluster, refused)
    assert [status for status, _ in answers] == [0xA700] * 3, answers
    assert max(seconds for _, seconds in answers) < DEADLINE + SLACK
    # The index knows nothing of it; and what comes from elsewhere is given back.
    uid, _ = uids_of(before[0])
    matches, status = await find(cluster.roles.peer(Role.QUERY), "STUDY", ["StudyInstanceUID"])
    assert (status, [str(match.StudyInstanceUID) for match in matches]) == (0, [uid])
    if not fault.startswith("s3"):
        brought = await get(cluster.roles.asker.peer, cluster.folder / "now", "STUDY", f"StudyInstanceUID={uid}")
        assert len(brought) == 4
    await undo(cluster)
    async with asyncio.timeout(60):
        while any(status != 0 for status, _ in await store(cluster, refused)):
            await asyncio.sleep(1)
    await expect_exactly(cluster.roles.asker, [*before, *refused], cluster.folder / "after")


@pytest.mark.timeout(240)
async def test_an_index_that_takes_no_writes_delays_searches_and_nothing_that_is_stored(cluster: Cluster) -> None:
    before, after = study(cluster.folder / "a", 4), study(cluster.folder / "b", 3)
    await store(cluster, before)
    await expect_exactly(cluster.roles.asker, before, cluster.folder / "got")
    await read_only(cluster, True)
    assert [status for status, _ in await store(cluster, after)] == [0] * 3
    await asyncio.sleep(2)
    await expect_exactly(cluster.roles.asker, before, cluster.folder / "now")
    await read_only(cluster, None)
    await expect_exactly(cluster.roles.asker, [*before, *after], cluster.folder / "after")
    log = "".join(cluster.roles.processes[name].log.read_text() for name in ("indexer", "indexer-2"))
    assert "it takes no writes" in log
    assert "dead letter" not in log


@pytest.mark.timeout(240)
async def test_an_index_that_is_cut_off_is_said_to_who_searches_and_nothing_is_lost(cluster: Cluster) -> None:
    before, after = study(cluster.folder / "a", 4), study(cluster.folder / "b", 3)
    await store(cluster, before)
    await expect_exactly(cluster.roles.asker, before, cluster.folder / "got")
    await cut(cluster, "opensearch")
    assert [status for status, _ in await store(cluster, after)] == [0] * 3
    loop = asyncio.get_running_loop()
    since = loop.time()
    _, status = await find(cluster.roles.peer(Role.QUERY), "STUDY", ["StudyInstanceUID"])
    assert status == 0xA700
    assert loop.time() - since < 3 * DEADLINE + SLACK  # a read is tried three times
    _, status = await find(cluster.roles.asker.peer, "PATIENT", ["PatientID"], root=PATIENT_ROOT_FIND)
    assert status == 0xA700
    await mend(cluster, "opensearch")
    await expect_exactly(cluster.roles.asker, [*before, *after], cluster.folder / "after")
