"""Webhooks of the whole archive: nothing is missed and nothing out of order, whatever is killed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from gantry.common.events import InstanceStored
from tests.crash.conftest import MakeArchive
from tests.crash.test_deletion import delete, kill_when_its_indexer_died, send
from tests.crash.test_upkeep import gantry
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, events, uids_of
from tests.support.hook_receiver import SECRET, HookReceiver
from tests.support.objects import study

SETTINGS = (
    "http: {may_delete: [loopback]}\n"
    "upkeep: {seal_every: 0.2}\n"
    "webhooks: [{name: ris, url: '%s', secret_file: %s, retry_first: 0.1, retry_longest: 0.5}]\n"
)


def with_webhook(archive: RunningArchive, url: str) -> RunningArchive:
    secret = archive.folder / "secret"
    secret.write_bytes(SECRET)
    archive.write_policy([], SETTINGS % (url, secret))
    return archive


async def heard(receiver: HookReceiver, study_uid: str, *types: str) -> None:
    """Return when the receiver has heard this of a study, each event once, in this order."""

    def said() -> list[str]:
        once = {c["id"]: c["type"] for c in receiver.changes if c.get("StudyInstanceUID") == study_uid}
        return list(once.values())

    async with asyncio.timeout(60):
        while len(said()) < len(types):
            await asyncio.sleep(0.1)
    assert said() == list(types)


@pytest.mark.timeout(300)
async def test_a_receiver_hears_everything_whatever_is_killed(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive()
    with HookReceiver().running() as receiver:
        with_webhook(archive, receiver.url).start(failpoints="after-post=kill@1")
        files = study(tmp_path / "files", 2)
        sending = asyncio.create_task(Modality(archive.peer, files).send_all())
        # It died with a post accepted, and that not committed; perhaps before the second file was sent.
        await kill_when_its_indexer_died(archive)
        receiver.status = 500
        archive.start()
        await sending
        await send(archive, files)
        uid, _ = uids_of(files[0])
        assert delete(archive, uid)[0] == 204
        archive.kill()
        receiver.status = 200
        archive.start()
        stored = {event.receipt for event in await events(archive, "instances") if isinstance(event, InstanceStored)}
        assert len(stored) >= 4
        await heard(receiver, uid, *["stored"] * len(stored), "deleted")
        result = gantry(archive, "webhooks", "--json")
        assert result.returncode == 0, result.stderr
        answer = json.loads(result.stdout)
        assert (answer["webhook"], answer["host"]) == ("ris", "127.0.0.1")
        assert archive.stop() == 0


async def test_a_dead_receiver_slows_nobody_and_is_said(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = with_webhook(make_archive(), "http://127.0.0.1:9/hook").start()
    files = study(tmp_path / "files", 3)
    await send(archive, files)
    assert delete(archive, uids_of(files[0])[0])[0] == 204
    async with asyncio.timeout(60):
        while archive.metric("gantry_webhook_posts_total") < 1:
            await asyncio.sleep(0.1)
    assert json.loads(gantry(archive, "webhooks", "--json").stdout)["behind"] >= 1
    assert archive.stop() == 0


def test_a_webhook_without_its_secret_is_refused_in_words(make_archive: MakeArchive) -> None:
    archive = make_archive()
    with_webhook(archive, "http://127.0.0.1:9/").folder.joinpath("secret").write_bytes(b"short")
    with pytest.raises(AssertionError, match="shorter than 16 bytes"):
        archive.start()
