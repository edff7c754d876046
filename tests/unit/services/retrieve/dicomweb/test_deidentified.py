"""Downloads of de-identified copies: how many at a time, and of how much."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp.test_utils import make_mocked_request

from gantry.common.access import Verb
from gantry.common.deidentify.objects import Deidentifier
from gantry.common.deidentify.options import profile_of
from gantry.common.deidentify.pseudonyms import Pseudonyms
from gantry.common.errors import NotFound
from gantry.common.runtime.deidentification_profiles import Profiles
from gantry.common.telemetry.metrics import Metrics
from gantry.common.web.access import Caller
from gantry.common.web.errors import HttpProblem
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import CALLER
from gantry.services.retrieve.deidentifying.objects import Deidentification
from gantry.services.retrieve.dicomweb.deidentified import AT_ONCE, MOST_INSTANCES, DeidentifiedService
from gantry.services.retrieve.dicomweb.objects import InstanceFinder
from gantry.services.retrieve.opening import Openings

MATCH = Match(Resource.DEIDENTIFIED, "1.2.3")
PROFILES = Profiles({"teaching": Deidentifier(profile_of(()), Pseudonyms(b"a key of the tests, long enough"))})


def service(finder: object) -> DeidentifiedService:
    parts = cast(InstanceFinder, finder), cast(Openings, None), PROFILES, Deidentification()
    return DeidentifiedService(*parts, Metrics(), (), 5.0)


def request() -> Any:
    made = make_mocked_request("GET", "/dicom-web/studies/1.2.3/deidentified?profile=teaching&reason=a+course")
    made[CALLER] = Caller(None, "doc", True, verbs=frozenset((Verb.SHARE,)))
    return made


async def test_two_are_under_way_and_the_next_one_is_asked_to_come_later() -> None:
    going_on = asyncio.Event()

    async def found(*_: object) -> None:
        await going_on.wait()
        raise NotFound("no such study")

    downloads = service(SimpleNamespace(all=found))
    under_way = [asyncio.ensure_future(downloads.of(request(), MATCH)) for _ in range(AT_ONCE)]
    await asyncio.sleep(0)
    with pytest.raises(HttpProblem, match="try again later") as refused:
        await downloads.of(request(), MATCH)
    assert (refused.value.status, "Retry-After" in refused.value.headers) == (503, True)
    going_on.set()
    assert [type(result) for result in await asyncio.gather(*under_way, return_exceptions=True)] == [NotFound] * AT_ONCE
    # What ended makes room.
    with pytest.raises(NotFound):
        await downloads.of(request(), MATCH)


async def test_more_than_a_link_shows_is_refused_before_anything_is_read() -> None:
    async def found(match: Match, most: int) -> list[None]:
        return [None] * most

    with pytest.raises(HttpProblem, match="gantry export") as refused:
        await service(SimpleNamespace(all=found)).of(request(), MATCH)
    assert refused.value.status == 409
    assert str(MOST_INSTANCES) in str(refused.value)
