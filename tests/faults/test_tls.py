"""TLS and passwords towards S3, Kafka and OpenSearch: a private authority is trusted where it is named, only there.

The servers' own TLS is not what is tested: it ends in a link before them, which asks for OpenSearch's password, too.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from pathlib import Path

import pytest

from gantry.common.adapters.kafka import KafkaCluster, open_kafka_log
from gantry.common.adapters.opensearch import OpenSearchCluster, open_opensearch_index
from gantry.common.clock import SystemClock
from gantry.common.config.tls import trusting
from gantry.common.errors import DependencyUnavailable
from tests.faults.conftest import SETTINGS
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, expect_exactly
from tests.support.certificates import Authority
from tests.support.link import Link
from tests.support.objects import study
from tests.support.own import OwnServer
from tests.support.ports import free_port
from tests.support.topology import cluster_environment

_PASSWORD = "correct horse"


@pytest.mark.timeout(240)
async def test_an_archive_speaks_tls_to_its_servers_and_signs_in(
    own_servers: dict[str, OwnServer], tmp_path: Path
) -> None:
    authority, stranger = Authority(tmp_path / "ca", "authority"), Authority(tmp_path / "other", "stranger")
    pair = authority.sign("server")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.certificate, pair.key)
    basic = base64.b64encode(f"gantry:{_PASSWORD}".encode())
    ports = {"s3": free_port(), "opensearch": free_port(), "kafka": own_servers["kafka"].advertised}
    links = {
        name: Link(server.port, tls, basic if name == "opensearch" else b"") for name, server in own_servers.items()
    }
    for name, link in links.items():
        await link.start(ports[name])
    try:
        environment = await _environment(own_servers, ports, authority, tmp_path)
        archive = RunningArchive(tmp_path / "archive", environment=environment)
        archive.write_policy([], SETTINGS)
        await asyncio.to_thread(archive.start)
        files = study(tmp_path / "files", 5)
        await Modality(archive.peer, files).send_all()
        await expect_exactly(archive, files, tmp_path / "got")
        assert await asyncio.to_thread(archive.stop) == 0
        assert _PASSWORD not in archive.log.read_text()
        await _refused(ports, authority, stranger)
    finally:
        for link in links.values():
            await link.close()


async def _environment(
    own_servers: dict[str, OwnServer], ports: dict[str, int], authority: Authority, tmp_path: Path
) -> dict[str, str]:
    (tmp_path / "archive").mkdir()
    (tmp_path / "password").write_text(_PASSWORD)
    environment = await asyncio.to_thread(
        cluster_environment,
        tmp_path,
        own_servers["s3"].server.address,
        f"127.0.0.1:{ports['kafka']}",
        f"http://127.0.0.1:{ports['opensearch']}",
    )
    return environment | {
        "GANTRY_S3__ENDPOINT": f"https://127.0.0.1:{ports['s3']}",
        "GANTRY_S3__CA": str(authority.ca),
        "GANTRY_KAFKA__TLS": "true",
        "GANTRY_KAFKA__CA": str(authority.ca),
        "GANTRY_OPENSEARCH__TLS": "true",
        "GANTRY_OPENSEARCH__CA": str(authority.ca),
        "GANTRY_OPENSEARCH__USERNAME": "gantry",
        "GANTRY_OPENSEARCH__PASSWORD_FILE": str(tmp_path / "password"),
    }


async def _refused(ports: dict[str, int], authority: Authority, stranger: Authority) -> None:
    """What must not work: another authority, another password."""
    host = f"127.0.0.1:{ports['opensearch']}"
    for ca, password in ((stranger.ca, _PASSWORD), (authority.ca, "wrong")):
        cluster = OpenSearchCluster((host,), "tls", tls=trusting(ca), username="gantry", password=password)
        with pytest.raises(DependencyUnavailable) as refused:
            await open_opensearch_index(cluster, SystemClock())
        assert password not in str(refused.value)
    kafka = KafkaCluster((f"127.0.0.1:{ports['kafka']}",), "tls", deadline=3.0, tls=trusting(stranger.ca))
    with pytest.raises(DependencyUnavailable):
        await open_kafka_log(kafka, SystemClock())
