"""Workitems that were acknowledged are there, whatever is killed or lost, in both topologies."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.crash.conftest import MakeArchive
from tests.crash.test_upkeep import SEALING, gantry, lose_log_and_index, until_sealed
from tests.support.archive import RunningArchive
from tests.support.workitems import MINE, OTHER, WorkitemsClient, as_json, claim, done, why

SETTINGS = f"{SEALING}http: {{may_order: [loopback], may_delete: [loopback]}}\n"


def a_day(archive: RunningArchive) -> None:
    """Workitems in every state, and one that is erased."""
    client = WorkitemsClient(archive.http_port)
    for number in range(6):
        client.create(f"1.2.{number}")
    for number in (1, 2, 3):
        assert client.ask("PUT", f"/1.2.{number}/state", claim())[0] == 200
    assert client.ask("POST", f"/1.2.2?{MINE}", as_json(done()))[0] == 200
    assert client.ask("PUT", "/1.2.2/state", claim(wanted="COMPLETED"))[0] == 200
    assert client.ask("POST", f"/1.2.3?{MINE}", as_json(why()))[0] == 200
    assert client.ask("PUT", "/1.2.3/state", claim(wanted="CANCELED"))[0] == 200
    assert client.ask("POST", "/1.2.4/cancelrequest")[0] == 202
    assert client.ask("DELETE", "/1.2.5?reason=the+law")[0] == 204


def everything(archive: RunningArchive) -> list[Any]:
    client = WorkitemsClient(archive.http_port)
    return [client.ask("GET")[1], client.ask("GET", "/1.2.5")[0]]


def check(archive: RunningArchive, before: list[Any]) -> None:
    assert everything(archive) == before
    client = WorkitemsClient(archive.http_port)
    states = [client.state(f"1.2.{number}") for number in range(6)]
    assert states == ["SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED", "CANCELED", ""]
    # The lock holds, too: nobody else may go on with what was claimed before.
    assert client.ask("PUT", "/1.2.1/state", claim(OTHER))[0] == 400
    assert client.ask("PUT", "/1.2.1/state", claim())[0] == 409


async def test_what_was_acknowledged_is_there_after_a_kill(make_archive: MakeArchive) -> None:
    archive = make_archive()
    archive.write_policy([], SETTINGS)
    archive.start()
    await asyncio.to_thread(a_day, archive)
    before = everything(archive)
    archive.kill()
    archive.start()
    check(archive, before)


async def test_the_bucket_is_enough(make_archive: MakeArchive) -> None:
    archive = make_archive()
    archive.write_policy([], SETTINGS)
    archive.start()
    await asyncio.to_thread(a_day, archive)
    before = everything(archive)
    await until_sealed(archive)
    assert archive.stop() == 0
    lose_log_and_index(archive)
    result = await asyncio.to_thread(gantry, archive, "restore")
    assert result.returncode == 0, result.stderr
    archive.start()
    check(archive, before)
