"""`gantry.services.whereabouts.search`, as far as it reads what no search finds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import fields
from types import SimpleNamespace
from typing import cast

import pytest

from gantry.common.clock import Clock
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import DecidedReceipt, InstanceKey, ReadIndex
from gantry.common.ports.log import EventLog
from gantry.services.operations.where import as_json
from gantry.services.whereabouts.search import FoundStudies, Whereabouts

PAGE_SECONDS = 4.0


class Decided:
    """An index in which so many pages of instances are deleted, and each takes a while to read."""

    def __init__(self, pages: int) -> None:
        self.now, self.pages = 0.0, pages

    def monotonic(self) -> float:
        return self.now

    async def find_decided(self, _partition: str) -> AsyncIterator[list[DecidedReceipt]]:
        for number in range(self.pages):
            self.now += PAGE_SECONDS
            key = InstanceKey(f"1.{number}", "1.2", "1.3")
            yield [cast("DecidedReceipt", SimpleNamespace(instance=key, entry=None))]


@pytest.mark.parametrize(("pages", "whole", "found"), [(2, True, {"1.1"}), (2000, False, {"1.1"})])
async def test_of_very_many_decisions_as_many_are_read_as_somebody_waits_for(
    pages: int, whole: bool, found: set[str]
) -> None:
    index = Decided(pages)
    searching = Whereabouts(
        cast("BlobStore", None), cast("EventLog", None), cast("ReadIndex", index), cast("Clock", index), grace=0
    )
    studies: dict[str, None] = {}
    assert await searching._add_decided("1.1", studies) is whole
    assert (set(studies), index.now < 20) == (found, True)


def test_what_the_api_says_has_all_that_the_command_says() -> None:
    answer = FoundStudies((), more=False, behind=1, dead=2, merged=("P2",), partly=True)
    assert as_json(answer) == {"accounts": [], "more": False, "behind": 1, "dead": 2, "merged": ("P2",), "partly": True}
    assert set(as_json(answer)) == {field.name for field in fields(FoundStudies)}
