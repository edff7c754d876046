"""A DICOMweb server as a source of an import, with invalid answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from gantry.cli.importing.dicomweb import DicomWeb, NotGiven
from gantry.cli.importing.model import Instance, Withheld
from gantry.common.errors import ConnectionFailed


@asynccontextmanager
async def serving(answer: web.Response, heard: list[str]) -> AsyncIterator[str]:
    async def handle(request: web.BaseRequest) -> web.Response:
        heard.append(request.raw_path)
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_nobody_else_is_asked_though_the_server_sends_on(tmp_path: Path) -> None:
    elsewhere: list[str] = []
    heard: list[str] = []
    async with (
        serving(web.json_response([]), elsewhere) as other,
        serving(web.Response(status=307, headers={"Location": f"{other}/studies"}), heard) as url,
    ):
        source = DicomWeb(url, 10.0, ["PatientID=4711"], "a token")
        try:
            with pytest.raises(NotGiven, match="redirects to another address"):
                _ = [study async for study in source.studies()]
            wanted = {"1.2.3": Instance("1.2", "1.2.840.10008.5.1.4.1.1.2")}
            [[withheld]] = [files async for files in source.fetch("1.1", wanted, tmp_path)]
            assert isinstance(withheld, Withheld)
            assert "redirects to another address" in withheld.reason
        finally:
            await source.close()
    assert len(heard) == 2
    assert elsewhere == []


@pytest.mark.parametrize("count", ["²", "٣", "9" * 5000, "-1", "many"], ids=["2", "3", "long", "negative", "words"])
async def test_what_is_no_count_is_none(count: str) -> None:
    study = {"0020000D": {"vr": "UI", "Value": ["1.2"]}, "00201208": {"vr": "IS", "Value": [count]}}
    async with serving(web.json_response([study]), []) as url:
        source = DicomWeb(url, 10.0)
        try:
            studies = [study async for study in source.studies()]
        finally:
            await source.close()
    assert [(study.uid, study.instances) for study in studies] == [("1.2", None)]


@pytest.mark.parametrize(
    ("status", "retry_after", "error"),
    [(503, "5", ConnectionFailed), (502, "", ConnectionFailed), (503, "3600", NotGiven), (500, "", NotGiven)],
)
async def test_a_server_that_is_away_for_now_is_told_from_one_that_does_not_give_it(
    status: int, retry_after: str, error: type[Exception], tmp_path: Path
) -> None:
    answer = web.Response(status=status, headers={"Retry-After": retry_after} if retry_after else {})
    async with serving(answer, []) as url:
        source = DicomWeb(url, 10.0)
        try:
            with pytest.raises(error, match=f"answered {status}"):
                _ = [study async for study in source.studies()]
            wanted = {"1.2.3": Instance("1.2", "1.2.840.10008.5.1.4.1.1.2")}
            fetched = source.fetch("1.1", wanted, tmp_path)
            first = await anext(fetched)
            if error is ConnectionFailed:
                assert first == []
                with pytest.raises(ConnectionFailed):
                    await anext(fetched)
            else:
                assert [result.reason for result in first if isinstance(result, Withheld)] == [
                    f"/studies/1.1/series/1.2/instances/1.2.3: the server answered {status}"
                ]
        finally:
            await source.close()


async def test_nobody_listening_is_away(tmp_path: Path) -> None:
    async with serving(web.Response(), []) as url:
        pass
    source = DicomWeb(url, 10.0)
    try:
        with pytest.raises(ConnectionFailed, match=r"^127.0.0.1:[0-9]+: Connection refused$"):
            _ = [study async for study in source.studies()]
    finally:
        await source.close()
