"""What an operator learns from log and metrics: who was refused, why and how often."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from gantry.common.clock import SystemClock
from gantry.common.config.policy import read_policy
from gantry.common.config.settings import Settings
from gantry.common.dicom.standard.sop_classes import VERIFICATION
from gantry.common.errors import AssociationRejected, DependencyUnavailable, NotUnderstood, PeerError
from gantry.common.net import MemorySink, Peer, Request, Server, ServerLimits, connect, scu
from gantry.common.net.client import associate
from gantry.common.telemetry.logs import Lines, set_up_logs
from gantry.common.telemetry.metrics import METRICS, Metrics
from gantry.common.ul import Ability
from gantry.services.process.admission import PolicyAdmission
from gantry.services.process.association_log import NetworkObserver
from gantry.services.process.system_metrics import SystemMetrics
from gantry.services.process.verification import VerificationService
from gantry.services.retrieve.sources import BytesSource
from tests.support.certificates import Authority
from tests.support.certificates import settings as tls_settings
from tests.support.wire import CT, EXPLICIT, IMPLICIT

ECHO = [(VERIFICATION, [IMPLICIT])]
STORE = [(CT, [EXPLICIT])]


class Refusing:
    """Refuses every object but those that begin with `ok`."""

    abilities = {CT: Ability()}

    def receive(self, request: Request) -> MemorySink:
        return MemorySink()

    async def perform(self, request: Request) -> None:
        if not request.data.startswith(b"ok"):
            raise NotUnderstood("the data set cannot be read")
        await request.respond(0)


@dataclass
class Site:
    metrics: Metrics
    port: int
    stream: io.StringIO
    server: Server

    def peer(self, title: str) -> Peer:
        return Peer("127.0.0.1", self.port, "GANTRY", title)

    def lines(self, event: str) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"gantry_{name}", labels)

    async def ended(self, count: int = 1) -> None:
        async with asyncio.timeout(10):
            while len(self.lines("association ended")) < count:
                await asyncio.sleep(0.01)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    set_up_logs("json", "info", stream)
    yield stream
    structlog.reset_defaults()


@pytest.fixture
async def site(tmp_path: Path, stream: io.StringIO) -> AsyncIterator[Site]:
    file = tmp_path / "peers.yaml"
    file.write_text(
        "peers:\n"
        "  - {ae_title: CT1, host: 127.0.0.1, may: [echo, store]}\n"
        "  - {ae_title: CT2, host: 192.0.2.7, may: [store]}\n"
        "  - {ae_title: BUSY, host: 127.0.0.1, may: [echo], max_associations: 1}\n"
    )
    policy = read_policy(file, "GANTRY", lab=True)
    metrics = Metrics()
    observer = NetworkObserver(metrics, "ingest", policy.peers.__contains__)
    admission = PolicyAdmission(lambda: policy, [CT], observer.open_by_title)
    limits = ServerLimits(artim=0.5)
    server = Server([VerificationService(), Refusing()], admission, observer, limits=limits)  # type: ignore[list-item]
    yield Site(metrics, await server.start("127.0.0.1", 0), stream, server)
    await server.drain(0.5)


async def send(site: Site, title: str, objects: list[bytes]) -> None:
    async with connect(site.peer(title), STORE) as association:
        context = scu.need_context(association, CT)
        for number, data in enumerate(objects):
            await scu.store(association, context, f"1.2.{number}", BytesSource(data), len(data))


async def test_refused_images_are_said_once_with_reason_and_then_with_their_number(site: Site) -> None:
    await send(site, "CT1", [b"bad DOE^JANE"] * 50 + [b"ok"] * 3)
    await site.ended()
    first, rest = site.lines("request refused")
    assert (first["calling"], first["status"], first["why"], first["command"], first["count"]) == (
        "CT1",
        "C000",
        "the data set cannot be read",
        "C-STORE",
        1,
    )
    assert rest["count"] == 49
    assert "DOE" not in site.stream.getvalue()
    (ended,) = site.lines("association ended")
    assert ended["statuses"] == {"0000": 3, "C000": 50}
    assert ended["messages"] == 53
    assert int(str(ended["bytes_in"])) > 53 * 100
    assert int(str(ended["bytes_out"])) > 53 * 50
    assert float(str(ended["seconds"])) >= 0


async def test_refusal_for_want_of_resources_makes_readiness_look_again(site: Site) -> None:
    class Full(Refusing):
        async def perform(self, request: Request) -> None:
            raise DependencyUnavailable("object store", "full")

    suspected: list[bool] = []
    site.server.observer._suspect = lambda: suspected.append(True)  # type: ignore[attr-defined]
    await send(site, "CT1", [b"bad"])
    assert suspected == []
    site.server.add(Full())  # type: ignore[arg-type]
    await send(site, "CT1", [b"ok"])
    await site.ended(2)
    assert suspected == [True]


async def test_metrics_are_told_by_known_ae_title(site: Site) -> None:
    await send(site, "CT1", [b"bad", b"ok", b"ok"])
    await send(site, "STRANGER", [b"ok"])  # the lab admits it
    await site.ended(2)
    assert site.value("peer_responses_total", ae_title="CT1", command="C-STORE", status="0000") == 2
    assert site.value("peer_responses_total", ae_title="CT1", command="C-STORE", status="C000") == 1
    assert site.value("peer_responses_total", ae_title="other", command="C-STORE", status="0000") == 1
    assert site.value("peer_associations_total", ae_title="CT1", outcome="released") == 1
    assert site.value("peer_associations_total", ae_title="other", outcome="released") == 1
    for direction in ("in", "out"):
        assert (site.value("peer_bytes_total", ae_title="CT1", direction=direction) or 0) > 0
    assert "STRANGER" not in {
        value for m in site.metrics.registry.collect() for s in m.samples for value in s.labels.values()
    }


async def test_known_peer_that_calls_from_elsewhere_is_said_so_and_learns_no_more_than_a_stranger(site: Site) -> None:
    with pytest.raises(AssociationRejected) as elsewhere:
        await associate(site.peer("CT2"), ECHO)
    (line,) = site.lines("association rejected")
    assert line["why"] == "CT2 is known, but calls from another address"
    assert (elsewhere.value.result, elsewhere.value.source, elsewhere.value.reason) == (1, 1, 3)
    assert "another address" not in str(elsewhere.value)
    assert site.value("peer_associations_total", ae_title="CT2", outcome="rejected") == 1
    assert site.value("associations_rejected_total", reason="1/1/3") == 1


async def test_limit_of_a_peer_is_said_with_its_number(site: Site) -> None:
    async with connect(site.peer("BUSY"), ECHO):
        with pytest.raises(AssociationRejected):
            await associate(site.peer("BUSY"), ECHO)
    assert site.lines("association rejected")[0]["why"] == "already has 1 associations"


async def test_who_knocks_all_day_does_not_fill_the_log(site: Site) -> None:
    for _ in range(20):
        with pytest.raises(AssociationRejected):
            await associate(site.peer("CT2"), ECHO)
    assert len(site.lines("association rejected")) == 1
    assert site.value("associations_rejected_total", reason="1/1/3") == 20


@pytest.mark.parametrize(
    ("speaks", "why"),
    [
        ("plain", "TLS: "),
        ("no certificate", "TLS: "),
        ("a stranger's certificate", "TLS: certificate refused: "),
        ("a stranger's certificate, TLS 1.2", "TLS: certificate refused: "),
        ("nothing", "TLS: no handshake in time"),
    ],
)
async def test_failed_handshake_is_said_with_its_reason(site: Site, tmp_path: Path, speaks: str, why: str) -> None:
    authority, stranger = Authority(tmp_path / "a", "hospital"), Authority(tmp_path / "b", "stranger")
    from gantry.common.config.tls import client_context, server_context

    context = server_context(tls_settings(authority.sign("archive"), authority.ca))
    assert context is not None
    port = await site.server.start("127.0.0.1", 0, tls=lambda: context)
    held: list[socket.socket] = []
    if speaks == "nothing":
        held.append(socket.create_connection(("127.0.0.1", port)))
    else:
        pair = stranger.sign("modality") if "stranger" in speaks else None
        tls = None if speaks == "plain" else client_context(tls_settings(pair, authority.ca))
        if tls is not None and "1.2" in speaks:
            tls.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(PeerError):
            await associate(Peer("127.0.0.1", port, "GANTRY", "CT1", tls=tls, associate_timeout=5), ECHO)
    async with asyncio.timeout(10):
        while not site.lines("connection without association"):
            await asyncio.sleep(0.01)
    line = site.lines("connection without association")[0]
    assert str(line["why"]).startswith(why)
    assert (line["level"], line["peer"], line["count"]) == ("warning", "127.0.0.1", 1)
    assert str(line.get("certificate", "")).startswith("CN=modality, serial " if "stranger" in speaks else "")
    assert ("certificate" in line) == ("stranger" in speaks)
    assert site.value("connections_failed_total", reason="tls") == 1
    for sock in held:
        sock.close()


def test_counters_with_known_labels_are_there_from_the_start() -> None:
    metrics = Metrics()
    for metric in METRICS:
        for values in metric.known:
            name = f"{metric.name}_total" if metric.kind == "counter" else metric.name
            labels = dict(zip(metric.labels, values, strict=True))
            assert metrics.registry.get_sample_value(name, labels) == 0, (name, labels)
    assert metrics.registry.get_sample_value("gantry_objects_received_total", {"status": "C000"}) == 0
    assert metrics.registry.get_sample_value("gantry_associations_rejected_total", {"reason": "1/1/7"}) == 0


def test_machine_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path / "a", "hospital")
    pair = authority.sign("archive", days=30)
    tls = {"certificate": str(pair.certificate), "key": str(pair.key), "ca": str(authority.ca)}
    metrics = Metrics()
    system = SystemMetrics(Settings.model_validate({"data": str(tmp_path), "tls": tls}), metrics)
    monkeypatch.setattr(Lines, "dropped", Lines.dropped + 3)
    system.refresh()
    system.refresh()

    def value(name: str, **labels: str) -> float:
        sample = metrics.registry.get_sample_value(name, labels)
        assert sample is not None, name
        return sample

    for store in ("objects", "log", "index"):
        assert 0 < value("gantry_disk_free_bytes", store=store) <= value("gantry_disk_size_bytes", store=store)
    days = (
        value("gantry_certificate_expires_seconds", setting="tls.certificate") - SystemClock().now_us() / 1e6
    ) / 86400
    assert 29 < days <= 30.1
    assert value("gantry_certificate_expires_seconds", setting="tls.ca") > 0
    assert value("gantry_log_lines_dropped_total") == 3
    assert value("process_resident_memory_bytes") > 1 << 20
    assert value("process_open_fds") > 3
    builds = [s for m in metrics.registry.collect() if m.name == "gantry_build_info" for s in m.samples]
    assert [(s.value, set(s.labels)) for s in builds] == [(1, {"version", "python"})]
