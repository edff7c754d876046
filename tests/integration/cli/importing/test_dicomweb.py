"""A DICOMweb server as a source of an import: one that is not what it should be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from gantry.cli.importing.dicomweb import DicomWeb, NotGiven
from gantry.cli.importing.model import Instance


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
            with pytest.raises(NotGiven, match="sends on to another address"):
                _ = [study async for study in source.studies()]
            wanted = {"1.2.3": Instance("1.2", "1.2.840.10008.5.1.4.1.1.2")}
            assert [files async for files in source.fetch("1.1", wanted, tmp_path)] == [[]]
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
            found = [one async for one in source.studies()]
        finally:
            await source.close()
    assert [(one.uid, one.instances) for one in found] == [("1.2", None)]
