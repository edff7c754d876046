"""An object is followed from A-ASSOCIATE to searchable, in both topologies: by what a person has for that, the lines of
the log and the events. One trace runs through all of it, and no other object's."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pydicom

from gantry.cli.files import DicomFile
from gantry.common.adapters.kafka.connection import KafkaCluster
from gantry.common.adapters.kafka.reading import everything
from gantry.common.events import CommitmentReported, CommitmentRequested, InstanceConflictFound, InstanceStored
from gantry.common.telemetry.traces import is_trace, trace_id
from tests.e2e.conftest import Site
from tests.support.asking import events
from tests.support.objects import data_set, study, write
from tests.support.stow import files, post
from tests.support.waiting import commit, store, wait_found, wait_searchable


def lines(site: Site, event: str, trace: str = "") -> list[dict[str, Any]]:
    """The log lines that say `event`, of one trace (by its 32 digits) where one is named."""
    entries = [json.loads(line) for line in site.archive.log.read_text().splitlines() if line.startswith("{")]
    return [entry for entry in entries if entry["event"] == event and trace in ("", trace_id(entry.get("trace", "")))]


def said(site: Site, event: str, trace: str, count: int = 1) -> list[dict[str, Any]]:
    """The same, once there are so many."""
    deadline = time.monotonic() + 20
    while len(entries := lines(site, event, trace)) < count:
        assert time.monotonic() < deadline, f"{len(entries)} of {count} lines say {event!r}"
        time.sleep(0.05)
    return entries


def stored(site: Site, sent: list[DicomFile]) -> list[InstanceStored]:
    """The events of these objects, in the order of the log."""
    uids = {file.sop_instance_uid for file in sent}
    history = asyncio.run(events(site.archive, "instances"))
    return [event for event in history if isinstance(event, InstanceStored) and event.sop_instance_uid in uids]


def headers(site: Site, topic: str) -> set[tuple[str, str]]:
    """The traces in the headers of Kafka's messages, each with the event it is of; empty on embedded stores."""
    url = urlsplit(site.archive.environment.get("GANTRY_STORAGE__LOG", ""))

    async def read() -> set[tuple[str, str]]:
        cluster = KafkaCluster((url.netloc,), url.path.strip("/"), replication=1, min_insync=1)
        records = [dict(record.headers) async for record in everything(cluster, topic)]
        return {(record["event"].decode(), record["traceparent"].decode()) for record in records}

    return asyncio.run(read()) if url.scheme == "kafka" else set()


def in_kafka(site: Site, topic: str, event: str, trace: str) -> bool:
    """Whether the header tells what the event does; nothing to see on embedded stores."""
    pairs = headers(site, topic)
    return not pairs or (event, trace) in pairs


def test_an_object_is_followed_from_its_association_to_the_index(site: Site, tmp_path: Path) -> None:
    sent = study(tmp_path / "sent", 4, patient="TRACE")
    uid = str(pydicom.dcmread(sent[0].path, stop_before_pixels=True).StudyInstanceUID)
    other = study(tmp_path / "other", 2, patient="TRACE-OTHER")
    store(site.modality, sent)
    store(site.modality, other)
    wait_searchable(site.modality, uid, len(sent))
    (trace,) = {event.trace for event in stored(site, sent)}
    assert is_trace(trace)
    assert trace not in {event.trace for event in stored(site, other)}
    (ended,) = said(site, "association ended", trace_id(trace))
    assert (ended["calling"], ended["messages"], ended["outcome"]) == ("MODALITY", len(sent), "released")
    assert sum(line["instances"] for line in said(site, "searchable", trace_id(trace))) >= len(sent)
    assert in_kafka(site, "instances", "InstanceStored", trace)


def test_a_conflict_is_told_under_the_trace_of_who_sent_it(site: Site, tmp_path: Path) -> None:
    first = data_set(PatientID="TRACE-CONFLICT")
    file = write(tmp_path / "kept.dcm", first)
    first.PatientComments = "other bytes"
    aside = write(tmp_path / "aside.dcm", first)
    store(site.modality, [file])
    wait_found(site.modality, file)
    store(site.modality, [aside])
    early, late = sorted(stored(site, [file]), key=lambda event: event.receipt)
    assert trace_id(early.trace) != trace_id(late.trace)
    message = "other bytes of an instance that is known; the first stays current, this receipt is kept aside"
    (line,) = said(site, message, trace_id(late.trace))
    assert line["sop_instance_uid"] == file.sop_instance_uid
    history = asyncio.run(events(site.archive, "conflicts"))
    assert late.trace in {event.trace for event in history if isinstance(event, InstanceConflictFound)}
    assert in_kafka(site, "conflicts", "InstanceConflictFound", late.trace)


def test_an_object_that_comes_over_http_goes_on_in_its_senders_trace(site: Site, tmp_path: Path) -> None:
    sent = study(tmp_path / "sent", 3, patient="TRACE-STOW")
    theirs = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert post(site.archive, files([f.path.read_bytes() for f in sent]), traceparent=theirs).status == 200
    for file in sent:
        wait_found(site.modality, file)
    (trace,) = {event.trace for event in stored(site, sent)}
    assert trace_id(trace) == trace_id(theirs)
    assert trace != theirs
    (ended,) = said(site, "store request ended", trace_id(theirs))
    assert (ended["stored"], ended["failed"]) == (3, 0)
    assert sum(line["instances"] for line in said(site, "searchable", trace_id(theirs))) >= 3
    assert in_kafka(site, "instances", "InstanceStored", trace)


def test_a_commitment_is_followed_from_its_request_to_its_report(site: Site, tmp_path: Path) -> None:
    sent = study(tmp_path / "sent", 2, patient="TRACE-COMMIT")
    store(site.modality, sent)
    wait_searchable(site.modality, str(pydicom.dcmread(sent[0].path).StudyInstanceUID), 2)
    assert commit(site.modality, sent) == (2, 0)
    uid = sent[0].sop_instance_uid
    deadline = time.monotonic() + 20
    while True:
        history = asyncio.run(events(site.archive, "commitment"))
        (request,) = [
            event
            for event in history
            if isinstance(event, CommitmentRequested) and uid in {r.sop_instance_uid for r in event.references}
        ]
        # The report is an event once its requester has taken it.
        if request.trace in {event.trace for event in history if isinstance(event, CommitmentReported)}:
            break
        assert time.monotonic() < deadline, "no report under the trace of its request"
        time.sleep(0.1)
    assert is_trace(request.trace)
    assert said(site, "association ended", trace_id(request.trace))
    assert in_kafka(site, "commitment", "CommitmentReported", request.trace)
