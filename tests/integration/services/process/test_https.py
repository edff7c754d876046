"""HTTP over TLS beside the plain port: accepted and refused clients, log lines, and renewed certificates."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import structlog

from gantry.common.config.settings import Settings
from gantry.common.config.tls import Certificates, usual
from gantry.common.errors import ConfigError
from gantry.common.telemetry.metrics import Metrics
from gantry.services.process.http import HttpServer
from gantry.services.process.https import HttpsPort
from tests.support.certificates import Authority, Pair, settings


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca", "hospital")


def of(pair: Pair, authority: Authority, **http: object) -> Settings:
    tls = {"certificate": pair.certificate, "key": pair.key, "ca": authority.ca}
    return Settings(http={"host": "127.0.0.1", "port": 0, "tls_host": "127.0.0.1", "tls_port": 0, **http}, tls=tls)


class Site:
    def __init__(self, server: HttpServer, certificates: Certificates, metrics: Metrics, authority: Authority) -> None:
        self.server, self.certificates, self.authority = server, certificates, authority
        self._metrics = metrics
        assert server.tls_port is not None
        self.port = server.tls_port
        self.trust = usual(authority.ca)

    @property
    def failed(self) -> float:
        return self._metrics.registry.get_sample_value("gantry_http_handshakes_failed_total") or 0.0

    async def get(self, path: str) -> tuple[int, str]:
        url = f"https://127.0.0.1:{self.port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url, ssl=self.trust) as answer:
            return answer.status, await answer.text()

    async def shown(self) -> bytes | None:
        """The certificate that is shown."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.trust)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return bytes(shown)


@asynccontextmanager
async def serving(pair: Pair, authority: Authority, **http: object) -> AsyncIterator[Site]:
    configuration, metrics = of(pair, authority, **http), Metrics()
    certificates = Certificates(configuration.tls)
    server = HttpServer(configuration, 0, metrics, lambda: "", {}, certificates=certificates)
    await server.start()
    try:
        yield Site(server, certificates, metrics, authority)
    finally:
        await server.close()


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(200):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it does not hold")


async def test_the_same_is_answered_over_tls_and_nobody_needs_a_certificate(authority: Authority) -> None:
    async with serving(authority.sign("archive"), authority) as site:
        assert await site.get("/healthz") == (200, "ok\n")
        assert (await site.get("/dicom-web/studies"))[0] == 404, "no role is here"
        plain = f"http://127.0.0.1:{site.server.port}/healthz"
        async with aiohttp.ClientSession() as session, session.get(plain) as answer:
            assert answer.status == 200, "the plain port is there as well"
        assert site.failed == 0


async def test_what_is_no_handshake_is_a_line_with_address_and_reason(authority: Authority) -> None:
    with structlog.testing.capture_logs() as lines:
        async with serving(authority.sign("archive"), authority) as site:
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200" not in await reader.read()
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
            old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
            with pytest.raises(OSError):
                await asyncio.open_connection("127.0.0.1", site.port, ssl=old)
            await until(lambda: site.failed == 2)
            assert await site.get("/healthz") == (200, "ok\n")
    refused = [line for line in lines if line["event"] == "connection refused"]
    assert [line["peer"] for line in refused] == ["127.0.0.1", "127.0.0.1"]
    assert refused[0]["reason"] == "TLS: http request"
    assert all(str(line["reason"]).startswith("TLS: ") for line in refused)


async def test_a_renewed_certificate_counts_for_the_next_connection(authority: Authority) -> None:
    pair, next_one = authority.sign("archive"), authority.sign("renewed")
    async with serving(pair, authority) as site:
        before = await site.shown()
        shutil.copy(next_one.certificate, pair.certificate)
        shutil.copy(next_one.key, pair.key)
        site.certificates.look()
        after = await site.shown()
        assert before != after
        assert await site.get("/healthz") == (200, "ok\n")


@pytest.mark.parametrize(("proxies", "refused"), [((), 1), (("127.0.0.0/8",), 0)])
async def test_silent_clients_have_a_deadline_and_a_limit_but_those_of_a_proxy(
    authority: Authority, proxies: tuple[str, ...], refused: int
) -> None:
    certificates = Certificates(settings(authority.sign("archive"), authority.ca))
    configuration = of(authority.sign("other"), authority, max_connections_per_address=2, proxy_from=proxies)
    failures: list[int] = []
    server = HttpServer(configuration, 0, Metrics(), lambda: "", {})
    await server.start()
    assert server._protocols is not None
    port = HttpsPort(certificates.web, server.limits, 0.5, lambda: failures.append(1))
    bound = port.open("127.0.0.1", 0, server._protocols)
    try:
        silent = [await asyncio.open_connection("127.0.0.1", bound) for _ in range(3)]
        ended = [asyncio.create_task(reader.read()) for reader, _ in silent]
        await asyncio.wait(ended, timeout=0.25)
        assert sum(task.done() for task in ended) == refused, "the third one is more than one address may have"
        await asyncio.wait(ended, timeout=5)
        assert all(task.done() for task in ended)
        assert len(failures) == 3
    finally:
        await port.close()
        await server.close()


def test_a_port_without_a_certificate_is_refused_in_words() -> None:
    configuration = Settings(http={"port": 0, "tls_port": 0})
    with pytest.raises(ConfigError, match=r"tls\.certificate"):
        HttpServer(configuration, 0, Metrics(), lambda: "", {}, certificates=Certificates(configuration.tls))
