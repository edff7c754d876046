"""What others know of us outlives the loss of everything but the bucket: who was told is not told again, numbers that
somebody keeps go on, and cursors go on where they were."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gantry.common.dicom.standard.sop_classes import UPS_GLOBAL_SUBSCRIPTION
from gantry.common.runtime.feed_cursor import feed_cursor
from tests.crash.conftest import MakeArchive
from tests.crash.test_deletion import delete
from tests.crash.test_feed import read
from tests.crash.test_routing import listed
from tests.crash.test_upkeep import gantry, lose_log_and_index, until_sealed
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, uids_of, until
from tests.support.dcmtk import StoreScp
from tests.support.hook_receiver import SECRET, HookReceiver
from tests.support.objects import DicomFile, study
from tests.support.subscriber import Subscriber, ask, subscription
from tests.support.workitem_channel import channel, pages_until
from tests.support.workitems import WorkitemsClient

pytestmark = pytest.mark.timeout(300)

SETTINGS = """
http: {{url: "http://127.0.0.1:{http}", may_delete: [loopback], may_subscribe: [loopback]}}
completion: {{quiet: 2}}
upkeep: {{seal_every: {seal}}}
retrieve: {{suboperation_retries: 0}}
routing: {{rules: [{{name: everything, to: [READING]}}], retry_first: 1, retry_longest: 2}}
webhooks: [{{name: ris, url: '{hook}', secret_file: {folder}/secret, retry_first: 0.1, retry_longest: 0.5}}]
subscriptions:
  endpoints: ["{endpoint}"]
  key_file: {folder}/key
  retry_first: 0.1
  retry_longest: 0.5
"""


class Outside:
    """Whoever is told by the archive, and the archive."""

    def __init__(self, archive: RunningArchive, reading: StoreScp, hook: HookReceiver, subscriber: Subscriber) -> None:
        self.archive, self.reading, self.hook, self.subscriber = archive, reading, hook, subscriber
        (archive.folder / "secret").write_bytes(SECRET)
        (archive.folder / "key").write_text("a secret of thirty-two characters or more\n")
        self.seals(0.2)

    def seals(self, every: float) -> None:
        """How often facts are sealed, from the next start on."""
        peer = f"{{ae_title: READING, host: 127.0.0.1, port: {self.reading.port}, may: [], move_destination: true}}"
        places = {"http": self.archive.http_port, "folder": self.archive.folder, "seal": every}
        self.archive.write_policy([peer], SETTINGS.format(hook=self.hook.url, endpoint=self.subscriber.base, **places))

    async def subscribed(self) -> None:
        base = f"http://127.0.0.1:{self.archive.http_port}"
        wanted = subscription(f"{base}/fhir/r4/SubscriptionTopic/imaging-study", self.subscriber.base)
        status, made = await asyncio.to_thread(ask, base, "POST", "Subscription", wanted)
        assert status == 201, made
        await until(lambda: bool(self.subscriber.of_type("handshake")))

    async def stored(self, *studies: Sequence[DicomFile]) -> None:
        """Store studies, and return when everybody was told that each is complete: they wait for it together."""
        for files in studies:
            await Modality(self.archive.peer, files).send_all()
        for files in studies:
            await self.told_of(files)

    async def told_of(self, files: Sequence[DicomFile]) -> None:
        uid, _ = uids_of(files[0])
        await until(lambda: ("completed", uid) in self.heard())
        await until(lambda: uid in {study_uid for *_, study_uid in self.subscriber.events()})
        await until(lambda: {file.sop_instance_uid for file in files} <= set(self.reading.received()))

    def heard(self) -> list[tuple[str, str]]:
        """What the webhook was told."""
        return [(change["type"], change["StudyInstanceUID"]) for change in self.hook.changes]

    async def restored(self, *options: str) -> None:
        """Log and index are lost, and come back from the bucket alone; nobody was told anything yet."""
        assert self.archive.stop() == 0
        lose_log_and_index(self.archive)
        result = await asyncio.to_thread(gantry, self.archive, "restore", *options)
        assert result.returncode == 0, result.stderr
        self.hook.changes.clear()
        self.subscriber.bundles.clear()
        self.archive.start()


@pytest.fixture
def outside(make_archive: MakeArchive, tmp_path: Path) -> Iterator[Outside]:
    with (
        StoreScp(tmp_path / "reading", "READING") as reading,
        HookReceiver().running() as hook,
        Subscriber().running() as subscriber,
    ):
        yield Outside(make_archive(), reading, hook, subscriber)


async def test_who_was_told_before_a_restore_is_not_told_again_and_numbers_go_on(
    outside: Outside, tmp_path: Path
) -> None:
    archive = outside.archive.start()
    await outside.subscribed()
    await outside.stored(*(study(tmp_path / f"before{number}", 2, patient=f"P{number}") for number in range(3)))
    assert [number for number, *_ in outside.subscriber.events()] == [1, 2, 3]
    cursor = await asyncio.to_thread(behind_everything, archive)
    await until_sealed(archive)
    await outside.restored("--tell-days", "0")
    after = study(tmp_path / "after", 2, patient="P9")
    await outside.stored(after)
    uid, _ = uids_of(after[0])
    # What comes after it would come behind whatever is told again.
    assert {study_uid for _, study_uid in outside.heard()} == {uid}
    ((number, *request),) = outside.subscriber.events()
    assert (number > 3, request) == (True, ["PUT", uid])
    assert {state["study"] for state in await listed(archive, "--all")} == {uid}
    changes, _ = await asyncio.to_thread(read, archive, cursor)
    assert {change["type"] for change in changes if change["StudyInstanceUID"] == uid} == {"stored", "completed"}
    assert archive.stop() == 0


async def test_what_happened_lately_is_told_once_more_unless_one_says_otherwise(
    outside: Outside, tmp_path: Path
) -> None:
    """Whether it was told before, the bucket does not know."""
    archive = outside.archive.start()
    await outside.subscribed()
    before = study(tmp_path / "before", 2)
    await outside.stored(before)
    await until_sealed(archive)
    uid, _ = uids_of(before[0])
    await outside.restored()
    await outside.told_of(before)
    await outside.stored(study(tmp_path / "after", 2, patient="P9"))
    assert outside.heard()[:3] == [("stored", uid), ("stored", uid), ("completed", uid)]
    # It was complete before: nobody is told twice by that it was stored.
    assert outside.heard().count(("completed", uid)) == 1
    first, second = outside.subscriber.events()
    assert (1 < first[0], second[0]) == (True, first[0] + 1)
    assert archive.stop() == 0


async def test_reader_of_the_feed_misses_nothing_when_the_log_comes_back_shorter_than_it_was(
    outside: Outside, tmp_path: Path
) -> None:
    """His cursor names places on the log that other events have now."""
    archive = outside.archive.start()
    await outside.subscribed()
    first, last = study(tmp_path / "first", 2), study(tmp_path / "last", 2, patient="P2")
    await outside.stored(first)
    await until_sealed(archive)
    assert archive.stop() == 0
    outside.seals(3600)
    archive.start()
    uid, _ = uids_of(first[0])
    for _ in range(3):
        assert delete(archive, uid)[0] == 204
        assert (await asyncio.to_thread(gantry, archive, "undelete", uid, "--reason", "test")).returncode == 0
    await outside.stored(last)
    cursor = await asyncio.to_thread(behind_everything, archive)
    await outside.restored("--tell-days", "0")
    later = [study(tmp_path / f"later{number}", 2, patient=f"L{number}") for number in range(4)]
    await outside.stored(*later)
    changes, _ = await asyncio.to_thread(read, archive, cursor)
    for files in later:
        uid, _ = uids_of(files[0])
        assert {change["type"] for change in changes if change["StudyInstanceUID"] == uid} == {"stored", "completed"}
    assert archive.stop() == 0


WORKITEMS = "http: {may_order: [loopback]}\nupkeep: {seal_every: %s}\n"


async def test_reader_of_the_channel_of_workitems_misses_nothing_after_a_restore(make_archive: MakeArchive) -> None:
    archive = make_archive()
    archive.write_policy([], WORKITEMS % 0.2)
    archive.start()
    client = WorkitemsClient(archive.http_port)
    assert client.ask("POST", f"/{UPS_GLOBAL_SUBSCRIPTION}/subscribers/SCREEN")[0] == 201
    client.create("1.2.1")
    await until_sealed(archive)
    assert archive.stop() == 0
    archive.write_policy([], WORKITEMS % 3600)
    archive.start()
    async with channel(archive.http_port, "SCREEN", "?since=now") as opened:
        for number in range(2, 6):
            client.create(f"1.2.{number}")
        _, cursor = await pages_until(opened, 4)
    assert archive.stop() == 0
    lose_log_and_index(archive)
    assert (await asyncio.to_thread(gantry, archive, "restore")).returncode == 0
    archive.start()
    later = {f"1.2.9.{number}" for number in range(3)}
    for uid in later:
        client.create(uid)
    async with channel(archive.http_port, "SCREEN", f"?since={cursor}") as opened:
        broken_off = (await opened.receive_json(timeout=10))["next"]
    # Nothing was read yet: who comes back with that still is one from before the restore.
    before, again = feed_cursor(cursor), feed_cursor(broken_off)
    assert before is not None
    assert again is not None
    assert again.read_ms == before.read_ms
    async with channel(archive.http_port, "SCREEN", f"?since={broken_off}") as opened:
        uids: set[str] = set()
        while not later <= uids:
            notices, cursor = await pages_until(opened, 1)
            uids |= {uid for uid, *_ in notices}
    behind = feed_cursor(cursor)
    assert behind is not None
    assert behind.read_ms > before.read_ms, "a cursor of this log is one of its time"
    assert archive.stop() == 0


def behind_everything(archive: RunningArchive) -> str:
    """The cursor of a reader of the change feed who has read all."""
    return read(archive)[1]
