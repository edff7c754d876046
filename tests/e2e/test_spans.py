"""Traces as OpenTelemetry's own collector gets them: from A-ASSOCIATE to searchable, and from a viewer's request to the
object store, in both topologies. Nothing is told without an address, nobody waits for a collector that is away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest

from tests.support import waiting
from tests.support.archive import RunningArchive
from tests.support.collector import Collector, TracedSpan
from tests.support.dicomweb import ask
from tests.support.objects import study
from tests.support.ports import free_port
from tests.support.topology import TOPOLOGIES, environment, remove_stores

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
NAME = "Marked^Patient"


@dataclass
class Traced:
    archive: RunningArchive
    collector: Collector
    topology: str

    def wait(self, trace: str, *names: str) -> list[TracedSpan]:
        """The spans of a trace, once all of these are among them ("" for any trace)."""
        deadline = time.monotonic() + 30
        spans = self.collector.spans(trace)
        while not set(names) <= {span.name for span in spans}:
            assert time.monotonic() < deadline, [span.name for span in spans]
            time.sleep(0.2)
            spans = self.collector.spans(trace)
        return spans

    def wait_searchable(self, trace: str, count: int) -> list[TracedSpan]:
        """The spans of a trace, once they say that so many instances can be found."""
        deadline = time.monotonic() + 30
        while True:
            spans = self.wait(trace, "make searchable")
            if sum(int(s.attributes["instances"]) for s in spans if s.name == "make searchable") == count:
                return spans
            assert time.monotonic() < deadline, spans
            time.sleep(0.2)


@pytest.fixture(scope="module", params=TOPOLOGIES)
def traced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    folder: Path = tmp_path_factory.mktemp("traced")
    with Collector(folder) as collector:
        archive = RunningArchive(folder, environment=environment(request.param, folder))
        archive.write_policy([], f"traces: {{endpoint: '{collector.endpoint}'}}\n")
        try:
            yield Traced(archive.start(), collector, request.param)
        finally:
            archive.stop()
            remove_stores(archive.environment)


def one(spans: list[TracedSpan], name: str) -> TracedSpan:
    [match] = [span for span in spans if span.name == name]
    return match


def test_an_object_is_followed_from_its_association_to_being_searchable(traced: Traced, tmp_path: Path) -> None:
    files = study(tmp_path, 3, name=NAME)
    waiting.store(traced.archive.peer, files)
    [begun] = [s for s in traced.wait("", "association", "make searchable") if s.name == "association"]
    spans = traced.wait_searchable(begun.trace, 3)
    assert begun.parent == ""
    stores = [span for span in spans if span.name == "C-STORE"]
    assert len(stores) == 3
    assert {(span.parent, span.attributes["status"]) for span in stores} == {(begun.id, "0000")}
    for store in stores:
        below = {span.name for span in spans if span.parent == store.id}
        assert below == {"object store", "event log"}
    made = [span for span in spans if span.name == "make searchable"]
    assert {span.parent for span in made} == {begun.id}
    assert min(span.begun for span in made) > min(span.begun for span in stores)
    if traced.topology == "cluster":
        assert {"S3 PUT"} <= {span.name for span in spans}


def test_a_viewers_request_is_followed_to_the_object_store(traced: Traced, tmp_path: Path) -> None:
    files = study(tmp_path, 1, name=NAME)
    uid = str(pydicom.dcmread(files[0].path).StudyInstanceUID)
    waiting.store(traced.archive.peer, files)
    waiting.wait_searchable(traced.archive.peer, uid, 1)
    assert ask(traced.archive, f"/dicom-web/studies/{uid}", traceparent=PARENT)[0] == 200
    trace = PARENT[3:35]
    spans = traced.wait(trace, "GET objects")
    request = one(spans, "GET objects")
    assert (request.parent, request.attributes["status"]) == (PARENT[36:52], "200")
    if traced.topology == "cluster":
        assert [span.parent for span in spans if span.name == "S3 GET"] == [request.id]
        assert request.id in {span.parent for span in spans if span.name == "OpenSearch"}
    # W3C Trace Context: the caller does not want this one recorded.
    assert ask(traced.archive, f"/dicom-web/studies/{uid}", traceparent=UNSAMPLED)[0] == 200
    assert ask(traced.archive, "/dicom-web/studies?limit=1", traceparent=PARENT)[0] == 200
    traced.wait(trace, "GET search_studies")
    assert traced.collector.spans(UNSAMPLED[3:35]) == []


def test_what_a_caller_asks_wrongly_is_no_error_of_ours(traced: Traced) -> None:
    parent = PARENT.replace("0af7", "2af7")
    assert ask(traced.archive, "/dicom-web/studies/1.2.3", traceparent=parent)[0] == 404
    span = one(traced.wait(parent[3:35], "GET objects"), "GET objects")
    assert (span.attributes["status"], span.failed) == ("404", False)


def test_no_span_holds_anything_of_a_patient(traced: Traced, tmp_path: Path) -> None:
    waiting.store(traced.archive.peer, study(tmp_path, 1, name=NAME))
    spans = traced.wait("", "association", "make searchable")
    assert NAME not in str(spans)
    assert "Marked" not in str(spans)


def test_a_collector_that_is_away_is_nobodys_matter(tmp_path: Path) -> None:
    archive = RunningArchive(tmp_path)
    archive.write_policy([], f"traces: {{endpoint: 'http://127.0.0.1:{free_port()}'}}\n")
    try:
        archive.start()
        waiting.store(archive.peer, study(tmp_path / "files", 5))
        assert archive.http("/readyz")[0] == 200
        time.sleep(2)
        assert "Traceback" not in archive.log.read_text()
        began = time.monotonic()
    finally:
        archive.stop()
    assert time.monotonic() - began < 20
