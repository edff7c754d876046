"""Peers of the API are facts: from the bucket alone they stand and fall as before, and a kill forgets none."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.crash.conftest import MakeArchive
from tests.crash.test_upkeep import gantry, lose_log_and_index, until_sealed
from tests.e2e.test_peers_api import TOKENS, asked
from tests.support.archive import RunningArchive

NEW = {"If-None-Match": "*"}


def policy(archive: RunningArchive) -> Any:
    return asked(archive, "GET", "policy")[1]


async def test_peers_are_restored_from_the_bucket_alone(make_archive: MakeArchive) -> None:
    archive = make_archive(lab=False)
    tokens = archive.folder / "tokens"
    tokens.write_text(TOKENS)
    archive.write_policy([], f"upkeep: {{seal_every: 0.2}}\nhttp: {{tokens_file: {tokens}, may_operate: [ops]}}\n")
    archive.start()
    etags = {}
    for title in ("CT8", "CT9", "MR1"):
        status, _, etags[title] = asked(archive, "PUT", f"peers/{title}", {"host": "192.0.2.9"}, NEW)
        assert status == 201
    seen = etags["CT9"]
    assert asked(archive, "PUT", "peers/CT9", {"host": "192.0.2.9", "may": ["find"]}, {"If-Match": seen})[0] == 200
    assert asked(archive, "DELETE", "peers/MR1", None, {"If-Match": etags["MR1"]})[0] == 200
    before = policy(archive)
    assert archive.kill() is None
    archive.start()
    assert policy(archive) == before
    await until_sealed(archive)
    assert archive.stop() == 0
    lose_log_and_index(archive)
    restored = await asyncio.to_thread(gantry, archive, "restore")
    assert restored.returncode == 0, restored.stderr
    archive.start()
    assert policy(archive) == before
    assert [peer["ae_title"] for peer in before["peers"]] == ["CT8", "CT9"]
    # What was seen before the restore is still what it is compared with.
    assert asked(archive, "DELETE", "peers/CT9", None, {"If-Match": seen})[0] == 412
    assert asked(archive, "DELETE", "peers/CT8", None, {"If-Match": etags["CT8"]})[0] == 200
    assert archive.stop() == 0
