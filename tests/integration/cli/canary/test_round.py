"""A round of the canary against a DICOMweb server that is not what it should be."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from aiohttp import web

from gantry.cli.canary.phantom import phantom
from gantry.cli.canary.round import Round, StepResult, Web
from gantry.common.clock import SystemClock
from gantry.common.net import Peer
from tests.integration.cli.importing.test_dicomweb import serving

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


async def deleted(url: str) -> StepResult:
    peer = Peer("127.0.0.1", 1, "GANTRY", "CANARY")
    [took] = await Round(peer, SystemClock(), 10.0, 10.0, ("delete",), web=Web(url, "a token")).run(phantom("a", NOON))
    return took


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_nobody_else_is_asked_to_delete_though_the_server_sends_on(status: int) -> None:
    elsewhere: list[str] = []
    heard: list[str] = []
    async with (
        serving(web.Response(), elsewhere) as other,
        serving(web.Response(status=status, headers={"Location": f"{other}/studies"}), heard) as url,
    ):
        assert (await deleted(url)).why == f"the archive answered {status}"
    assert (len(heard), elsewhere) == (1, [])


async def test_a_server_that_is_not_there_is_named() -> None:
    async with serving(web.Response(), []) as url:
        pass
    assert (await deleted(url)).why == f"{url.removeprefix('http://')}: Connection refused"
