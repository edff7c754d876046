"""DICOMweb over TLS on the whole archive, alone and behind the front door: what goes in comes out, a token counts as on
the plain port, and nothing is offered that is not in the profile."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from gantry.common.config.tls import usual
from tests.support.archive import RunningArchive
from tests.support.certificates import Authority
from tests.support.door import FrontDoor
from tests.support.objects import data_set, file_bytes
from tests.support.ports import free_port
from tests.support.stow import FILES, files
from tests.support.tls_profile import require_profile

pytestmark = pytest.mark.timeout(180)
TOKEN = {"Authorization": "Bearer the-token-of-a-viewer"}


@dataclass
class Site:
    archive: RunningArchive
    port: int
    dimse: int
    authority: Authority
    trust: ssl.SSLContext

    @property
    def base(self) -> str:
        return f"https://127.0.0.1:{self.port}"


@pytest.fixture(params=["alone", "door"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    authority = Authority(tmp_path / "ca", "hospital")
    ours, port, dimse = authority.sign("archive"), free_port(), free_port()
    tokens = tmp_path / "tokens"
    tokens.write_text("viewer:the-token-of-a-viewer\n")
    tls = {
        "GANTRY_TLS__CERTIFICATE": str(ours.certificate),
        "GANTRY_TLS__KEY": str(ours.key),
        "GANTRY_TLS__CA": str(authority.ca),
        "GANTRY_DIMSE__TLS_PORT": str(dimse),
        "GANTRY_HTTP__TLS_PORT": str(port),
    }
    folder = tmp_path / "archive"
    folder.mkdir()
    if request.param == "door":
        archive: RunningArchive = FrontDoor(folder, door=tls)
    else:
        archive = RunningArchive(folder, lab=False, environment=tls)
    archive.write_policy([], f"http: {{tokens_file: {tokens}}}\n")
    archive.start()
    try:
        # A door adds to ports what it adds to the plain one: nothing.
        yield Site(archive, port, dimse, authority, usual(authority.ca))
        assert archive.alive, archive.log.read_text()
    finally:
        assert archive.stop() == 0


async def test_what_goes_in_over_tls_comes_out_bit_for_bit(site: Site) -> None:
    sent = data_set(size=1024, PatientID="TLS1")  # 2 MiB: many TLS records
    content = file_bytes(sent)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=site.trust)) as session:
        studies = f"{site.base}/dicom-web/studies"
        headers = {"Content-Type": FILES, "Accept": "application/dicom+json"}
        async with session.post(studies, data=files([content]), headers=headers) as answer:
            assert answer.status == 401, "a token is needed here, too"
        async with session.post(studies, data=files([content]), headers={**headers, **TOKEN}) as answer:
            assert answer.status == 200, await answer.text()
        for _ in range(200):
            async with session.get(f"{studies}?PatientID=TLS1", headers=TOKEN) as answer:
                matches = json.loads(await answer.text() or "[]")
            if matches:
                break
            await asyncio.sleep(0.05)
        assert matches[0]["0020000D"]["Value"] == [sent.StudyInstanceUID]
        assert matches[0]["00081190"]["Value"][0].startswith(site.base), "what it says of itself leads back here"
        path = f"{studies}/{sent.StudyInstanceUID}/series/{sent.SeriesInstanceUID}/instances/{sent.SOPInstanceUID}"
        async with session.get(path, headers={"Accept": "*/*", **TOKEN}) as answer:
            assert answer.status == 200
            body = await answer.read()
        assert sent.PixelData in body
        async with session.ws_connect(f"{site.base}/dicom-web/changes", headers=TOKEN) as socket:
            assert json.loads((await socket.receive()).data)


def test_neither_port_for_tls_offers_what_is_not_in_the_profile(site: Site) -> None:
    require_profile(site.port)
    require_profile(site.dimse, site.authority.sign("ct"))
