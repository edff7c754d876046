"""deploy/compose.yaml for real: Kafka, S3, OpenSearch, the door and every role, each in a container of its own; then
deploy/compose.web.yaml on top of it, while it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from tests.support import waiting as asking
from tests.support.answering import wait_for
from tests.support.compose import ROLES, Composed
from tests.support.dcmtk import StoreScp, content, find, ok, received
from tests.support.objects import study

TOKEN = "0123456789abcdef0123456789abcdef"
# Docker's proxy stands between this machine and the containers, under an address of its own.
PEERS = """
peers:
  - {ae_title: MODALITY, from: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16], may: [store, find, retrieve, commit, echo]}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    with Composed(tmp_path_factory.mktemp("compose"), PEERS) as composed:
        yield composed


@pytest.mark.timeout(900)  # from nothing, with images and compose to be built
def test_a_cluster_stores_finds_gives_back_commits_scales_and_stops(cluster: Composed, tmp_path: Path) -> None:
    address = ("-aet", "MODALITY", "-aec", "GANTRY", "127.0.0.1", cluster.port)
    files = study(tmp_path / "sent", 6, series=2, patient="COMPOSE")
    uid = str(pydicom.dcmread(files[0].path, stop_before_pixels=True).StudyInstanceUID)
    ok("storescu", "+sd", *address, tmp_path / "sent")
    asking.wait_searchable(cluster.peer, uid, 6)

    keys = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}")
    assert [ds.PatientID for ds in find(address, tmp_path / "found", *keys, "-k", "PatientID")] == ["COMPOSE"]
    with StoreScp(tmp_path / "witness", "WITNESS") as witness:
        ok("storescu", "+sd", "-aec", "WITNESS", "127.0.0.1", witness.port, tmp_path / "sent")
        sent = witness.received()
    (tmp_path / "got").mkdir()
    ok("getscu", "+B", *keys, "-od", tmp_path / "got", *address)
    got = received(tmp_path / "got")
    assert {uid: content(path) for uid, path in got.items()} == {uid: content(path) for uid, path in sent.items()}
    assert asking.commit(cluster.peer, files) == (6, 0)

    cluster.up(ingest=2, query=2)
    wait_for(lambda: cluster.backends("ingest") == cluster.backends("query") == 2, 60, "the new containers")
    more = study(tmp_path / "more", 4, patient="COMPOSE")
    asking.store(cluster.peer, more)
    asking.wait_found(cluster.peer, more[-1])

    # DICOMweb is closed until who may ask is named; then it is open to them, and to nobody else.
    studies = f"/dicom-web/studies?StudyInstanceUID={uid}"
    assert cluster.http(studies)[0] == 403
    cluster.let_in(TOKEN)
    assert cluster.http(studies)[0] == 401
    assert cluster.http(studies, "not" + TOKEN)[0] == 401
    status, answer = cluster.http(studies, TOKEN)
    assert status == 200, answer
    assert [study["00100020"]["Value"] for study in json.loads(answer)] == [["COMPOSE"]]
    status, answer = cluster.http(f"/dicom-web/studies/{uid}/metadata", TOKEN)
    assert (status, len(json.loads(answer))) == (200, 6)

    cluster("stop")
    ended = {
        (container["Service"], container["ExitCode"])
        for container in cluster.containers()
        if container["Service"] in (*ROLES, "door")
    }
    assert ended == {(name, 0) for name in (*ROLES, "door")}
    assert "Traceback" not in cluster("logs", *ROLES, "door")
