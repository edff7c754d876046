"""`gantry.services.retrieve.checks`: when an object of which parts are sent is read whole."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gantry.common.ports.index import Location
from gantry.services.retrieve import checks
from gantry.services.retrieve.checks import IntegrityChecks
from gantry.services.retrieve.damage import WRONG_DIGEST, Damaged
from tests.support.objects import data_set, file_bytes
from tests.support.retrieval import Stored


class Reader:
    """Reads objects when it is let, and finds the ones that are damaged."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.damaged: set[str] = set()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, location: Location) -> None:
        self.read.append(location.object_key)
        await self.go_on.wait()
        if location.object_key in self.damaged:
            raise Damaged(WRONG_DIGEST)


@pytest.fixture
async def location(stored: Stored) -> Location:
    return await stored.keep(file_bytes(data_set(size=64)))


def named(location: Location, key: str, length: int = 100) -> Location:
    return replace(location, object_key=key, data_set_length=length)


async def test_an_object_is_read_once_for_all_who_ask_for_its_parts(location: Location) -> None:
    reader = Reader()
    looked = IntegrityChecks(reader, before=1000)
    reader.go_on.clear()
    waiting = [asyncio.ensure_future(looked.require(named(location, "a"), suspect=False)) for _ in range(20)]
    await asyncio.sleep(0.05)
    assert not any(task.done() for task in waiting)
    waiting[0].cancel()  # one who goes does not take it from the others
    reader.go_on.set()
    await asyncio.gather(*waiting[1:])
    await looked.require(named(location, "a"), suspect=False)
    assert reader.read == ["a"]


async def test_it_is_read_again_after_some_minutes_and_where_it_is_suspect(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader()
    looked = IntegrityChecks(reader, before=1000)
    await looked.require(named(location, "a"), suspect=False)
    await looked.require(named(location, "a"), suspect=True)
    assert reader.read == ["a", "a"]
    monkeypatch.setattr(checks, "GOOD_FOR", 0.0)
    await looked.require(named(location, "a"), suspect=False)
    assert reader.read == ["a", "a", "a"]


async def test_whoever_waits_for_a_damaged_one_hears_of_it(location: Location) -> None:
    reader = Reader()
    reader.damaged = {"a"}
    looked = IntegrityChecks(reader, before=1000)
    waiting = [asyncio.ensure_future(looked.require(named(location, "a"), suspect=False)) for _ in range(3)]
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Damaged] * 3
    assert not looked.is_known(named(location, "a"))


async def test_parts_of_a_long_one_do_not_wait_until_damage_is_found(location: Location) -> None:
    reader = Reader()
    reader.go_on.clear()
    looked = IntegrityChecks(reader, before=1000)
    long = [named(location, key, 1001) for key in "abc"]
    for place in long:
        await looked.require(place, suspect=False)
    await asyncio.sleep(0.05)
    assert reader.read == ["a", "b"], "two at once, and no more"
    reader.damaged = {"a"}
    reader.go_on.set()
    await asyncio.sleep(0.05)
    assert (looked.is_known(long[0]), looked.is_known(long[1])) == (False, True)
    with pytest.raises(Damaged):
        await looked.require(long[0], suspect=True)


async def test_what_was_read_long_ago_is_forgotten_when_there_is_much(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "_REMEMBERED", 2)
    looked = IntegrityChecks(Reader(), before=1000)
    for key in "abc":
        await looked.require(named(location, key), suspect=False)
    assert [looked.is_known(named(location, key)) for key in "abc"] == [False, True, True]
