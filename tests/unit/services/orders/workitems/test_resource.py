"""Which part of the workitems that match is in one answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, cast

import pytest

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.ports.orders import OrderIndex
from gantry.common.workitems import Workitem, WorkitemQuery, WorkitemState
from gantry.services.orders.workitems.documents import count_of_values
from gantry.services.orders.workitems.parameters import workitem_search
from gantry.services.orders.workitems.resource import WorkitemResource


def naming(uid: str, instances: int) -> Workitem:
    references = [{TAGS["ReferencedSOPInstanceUID"]: [f"{uid}.1"]}] * instances
    return Workitem("default", uid, WorkitemState.SCHEDULED, {TAGS["ReferencedSOPSequence"]: references})


class Pages:
    """An index that gives these, three at a time."""

    def __init__(self, workitems: Sequence[Workitem]) -> None:
        self._workitems = workitems

    async def find_workitems(self, query: WorkitemQuery) -> AsyncGenerator[list[Workitem], None]:
        for start in range(0, len(self._workitems), 3):
            yield list(self._workitems[start : start + 3])


async def found(workitems: Sequence[Workitem], **parameters: str) -> tuple[list[str], bool]:
    resource = WorkitemResource(cast("Any", None), cast("OrderIndex", Pages(workitems)), (), (), None)
    page, more = await resource._matches(workitem_search(parameters.items()))
    return [workitem.uid for workitem in page], more


SMALL = [naming(str(number), 1) for number in range(8)]


@pytest.mark.parametrize(
    ("parameters", "uids", "more"),
    [
        ({}, "01234567", False),
        ({"limit": "3"}, "012", True),
        ({"limit": "8"}, "01234567", False),
        ({"limit": "4", "offset": "2"}, "2345", True),
        ({"limit": "4", "offset": "5"}, "567", False),
        ({"offset": "9"}, "", False),
        ({"limit": "0"}, "", False),
    ],
)
async def test_an_answer_has_the_part_that_is_wanted(parameters: dict[str, str], uids: str, more: bool) -> None:
    assert await found(SMALL, **parameters) == (list(uids), more)


async def test_an_answer_ends_where_it_would_be_too_large_and_never_without_one() -> None:
    large = [naming(str(number), 40_000) for number in range(5)]
    assert await found(large) == (["0", "1"], True)
    assert await found(large, offset="2") == (["2", "3"], True)
    assert await found(large, offset="4") == (["4"], False)
    assert await found([naming("9", 150_000), *SMALL]) == (["9"], True)


def test_values_are_counted_in_sequences_and_a_name_is_one() -> None:
    attributes = {
        TAGS["PatientName"]: [{"Alphabetic": "Doe^Jane", "Ideographic": "D"}],
        TAGS["OtherPatientIDs"]: ["A", "B"],
        TAGS["ReferencedSOPSequence"]: [{TAGS["ReferencedSOPInstanceUID"]: ["1.2"]}, {}],
        TAGS["PatientID"]: [],
    }
    assert count_of_values(attributes) == 4
