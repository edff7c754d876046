"""What is asked for by C-GET of a study that is here in part."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.standard.tags import SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from gantry.common.errors import DependencyUnavailable, GantryError, QuotaReached, RefusedDataSet
from gantry.common.events import RouteRequested
from gantry.common.net import Peer, Request, Sink
from gantry.common.ul import Abilities
from gantry.services.retrieve.routing.prior_getting import CountingStorage, GetRequest, PriorGetter, requests_for
from gantry.services.retrieve.routing.priors import Prior

STORED = [f"1.3.{number}" for number in range(12)]
ROUTE = RouteRequested("default", "", "1.9", "r1", "chest", "OLD", "", "", 1, kind="prefetch", requestor="A1")
PEER = Peer("192.0.2.1", 104, "OLD", "GANTRY")
PRIOR = Prior("1.9", "20260101", 3, ())


class Taking:
    """What ingest answers to each object, in turn: an error, or None for success."""

    abilities: Abilities = {}

    def __init__(self, *answers: GantryError | None) -> None:
        self._answers = list(answers)

    def receive(self, request: Request) -> Sink:
        raise NotImplementedError

    async def perform(self, request: Request) -> None:
        answer = self._answers.pop(0)
        if answer is not None:
            raise answer


class Scripted(PriorGetter):
    """Two requests, of which the archive sends so many objects each, and says so."""

    def __init__(self, taking: Taking, *sent: tuple[int, str]) -> None:
        self._intake = lambda archive, trace: taking
        self._sent = list(sent)

    async def _requests(self, route: RouteRequested, peer: Peer, prior: Prior) -> list[GetRequest]:
        return [GetRequest({}, ())] * len(self._sent)

    async def _get(self, route: RouteRequested, peer: Peer, request: GetRequest, arrivals: CountingStorage) -> str:
        objects, why = self._sent.pop(0)
        for _ in range(objects):
            with suppress(GantryError):
                await arrivals.perform(SimpleNamespace(sink=None))  # type: ignore[arg-type]
        return why

    async def got(self) -> str:
        return await self.get(ROUTE, PEER, PRIOR)

    @property
    def left(self) -> int:
        """Requests that were not made."""
        return len(self._sent)


async def test_what_one_request_cannot_bring_keeps_nobody_from_the_next() -> None:
    refused = RefusedDataSet("no such class")
    getter = Scripted(Taking(refused, None), (1, "answered B000H"), (1, ""))
    assert await getter.got() == "answered B000H; 1 object not taken here: no such class"
    assert getter.left == 0
    getter = Scripted(Taking(None), (0, ""), (1, ""))
    assert await getter.got() == "answered 0000H success to C-GET, and sent nothing"
    assert getter.left == 0
    assert await Scripted(Taking(None, None), (1, ""), (1, "")).got() == ""


@pytest.mark.parametrize("error", [DependencyUnavailable("object store", "away"), QuotaReached()], ids=["away", "full"])
async def test_where_we_cannot_store_the_archive_is_not_at_fault(error: GantryError) -> None:
    getter = Scripted(Taking(error), (1, "answered B000H"), (1, ""))
    with pytest.raises(DependencyUnavailable, match="what stores priors"):
        await getter.got()
    assert getter.left == 1, "it is tried again later, and not with everything now"


def asked(missing: Mapping[str, tuple[str, str]]) -> list[tuple[str, list[str], tuple[str, ...]]]:
    found = list(requests_for("1.9", missing, STORED))
    assert all(one.identifier[STUDY_INSTANCE_UID] == ["1.9"] for one in found)
    return [(one.identifier[SERIES_INSTANCE_UID][0], one.identifier[SOP_INSTANCE_UID], one.classes) for one in found]


def test_each_series_is_asked_for_by_itself_a_hundred_instances_at_a_time() -> None:
    missing = {f"1.5.{number}": ("1.1", "1.3.0") for number in range(101)} | {"1.6.1": ("1.2", "1.3.1")}
    requests = asked(missing)
    assert [(series, len(uids), classes) for series, uids, classes in requests] == [
        ("1.1", 100, ("1.3.0",)),
        ("1.1", 1, ("1.3.0",)),
        ("1.2", 1, ("1.3.1",)),
    ]


def test_what_says_no_class_or_one_that_is_not_stored_here_is_asked_for_with_all_classes() -> None:
    missing = {"1.5.1": ("1.1", ""), "1.5.2": ("1.1", "1.3.0"), "1.5.3": ("1.1", "9.9")}
    assert asked(missing) == [("1.1", ["1.5.2"], ("1.3.0",)), ("1.1", ["1.5.1", "1.5.3"], ())]


@given(st.dictionaries(st.integers(0, 400), st.tuples(st.sampled_from(["1.1", "1.2"]), st.sampled_from([*STORED, ""]))))
def test_each_instance_is_asked_for_once_and_no_request_has_too_many_classes(
    found: dict[int, tuple[str, str]],
) -> None:
    missing = {f"1.5.{number}": of for number, of in found.items()}
    requests = asked(missing)
    assert sorted(uid for _, uids, _ in requests for uid in uids) == sorted(missing)
    for series, uids, classes in requests:
        assert len(classes) <= 8
        assert {missing[uid] for uid in uids} <= {(series, one) for one in classes or [""]}
