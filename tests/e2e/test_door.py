"""One address before every role as a process of its own: DCMTK, pynetdicom and Orthanc go through the door."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from gantry.cli.files import DicomFile
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE, VERIFICATION
from gantry.common.errors import AssociationRejected
from gantry.common.net.proxy import Origin, encode
from tests.e2e.conftest import EVERYTHING, Site
from tests.support import waiting as asking
from tests.support.answering import wait_for
from tests.support.certificates import Authority
from tests.support.dcmtk import StoreScp, content, find, ok, received, run
from tests.support.dicomweb import ask, ask_json, ask_parts
from tests.support.door import FrontDoor
from tests.support.objects import CT, sample, study
from tests.support.orthanc import Orthanc
from tests.support.ports import free_port
from tests.support.pynetdicom_peers import Kept, associated
from tests.support.wire import rq_bytes

EXPLICIT = "1.2.840.10008.1.2.1"
BOTH = (EXPLICIT, "1.2.840.10008.1.2")
INGEST_ALONE = dict.fromkeys(("query", "retrieve", "commitment", "orders", "indexer", "mixed"), 0)
SETTINGS = (
    "retrieve: {suboperation_retries: 1, retry_delay: 0.1}\ncommitment: {retry_first: 0.5, in_flight_deadline: 4}\n"
)


def opened(folder: Path, ports: dict[str, int], **more: Any) -> FrontDoor:
    door = FrontDoor(folder, **more)
    entries = [
        f"{{ae_title: {title}, host: 127.0.0.1, port: {port}, may: {EVERYTHING}, move_destination: true}}"
        for title, port in ports.items()
    ]
    # ELSEWHERE may call from one other address of this machine alone.
    entries.append(f"{{ae_title: ELSEWHERE, host: 127.0.0.2, may: {EVERYTHING}}}")
    door.write_policy(entries, SETTINGS)
    return door.start()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    ports = {title: free_port() for title in ("MODALITY", "DEST", "ORTHANC")}
    door = opened(tmp_path_factory.mktemp("door"), ports, scale={"ingest": 2})
    try:
        yield Site(door, ports)
    finally:
        assert door.stop() == 0


@pytest.fixture
def door(site: Site) -> FrontDoor:
    assert isinstance(site.archive, FrontDoor)
    return site.archive


def study_of(file: DicomFile) -> str:
    return str(pydicom.dcmread(file.path, stop_before_pixels=True).StudyInstanceUID)


def eventually(condition: Callable[[], bool], outcome: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not {outcome} after {seconds:g} s"
        time.sleep(0.05)


# ---- foreign peers, one address


def test_dcmtk_stores_finds_moves_gets_and_each_role_did_its_part(site: Site, door: FrontDoor, tmp_path: Path) -> None:
    before = door.passed_on()
    files = study(tmp_path / "sent", 12, series=2, patient="DOOR1", name="Door^Dora")
    uid = study_of(files[0])
    ok("echoscu", *site.address)
    ok("dcmsend", "-dn", "-aet", "MODALITY", "-aec", "GANTRY", "127.0.0.1", door.port, "+sd", tmp_path / "sent")
    asking.wait_searchable(site.modality, uid, 12)
    arguments = ("-k", "QueryRetrieveLevel=SERIES", "-k", f"StudyInstanceUID={uid}", "-k", "SeriesInstanceUID")
    assert len(find(site.address, tmp_path / "found", "-S", *arguments)) == 2
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}")
    with StoreScp(tmp_path / "moved", "DEST", port=site.ports["DEST"]) as destination:
        ok("movescu", "-S", "-aem", "DEST", *keys, *site.address)
        moved = destination.received()
    (tmp_path / "got").mkdir()
    ok("getscu", "-S", "+B", "-od", tmp_path / "got", *keys, *site.address)
    got = received(tmp_path / "got")
    assert set(moved) == set(got) == {file.sop_instance_uid for file in files}
    assert all(content(moved[uid]) == content(got[uid]) for uid in moved)
    after = door.passed_on()
    for pool in ("ingest", "query", "retrieve"):
        assert after[pool] > before.get(pool, 0), after


def test_pynetdicom_gets_back_bit_for_bit_what_storescu_sent(site: Site, tmp_path: Path) -> None:
    file = sample(tmp_path, "MR_small_jpeg_ls_lossless.dcm")
    asking.store(site.modality, [file])
    asking.wait_found(site.modality, file)
    receiver = Kept()
    contexts = [(file.sop_class_uid, [file.transfer_syntax_uid]), (STUDY_ROOT_GET, BOTH)]
    with associated(site.modality, contexts, kept=receiver, as_scp=[file.sop_class_uid]) as association:
        query = Dataset()
        query.QueryRetrieveLevel, query.StudyInstanceUID = "STUDY", study_of(file)
        *_, (status, _) = association.send_c_get(query, STUDY_ROOT_GET)
    assert status.Status == 0
    assert receiver.data == {file.sop_instance_uid: content(file.path)}


def test_orthanc_sends_finds_retrieves_and_gets_commitment(site: Site, door: FrontDoor, tmp_path: Path) -> None:
    files = study(tmp_path / "sent", 4, patient="DOOR-ORTHANC")
    with Orthanc(tmp_path, site.ports["ORTHANC"], door.port) as orthanc:
        orthanc.post("/modalities/gantry/echo", {})
        ids = [orthanc.upload(file.path) for file in files]
        orthanc.post("/modalities/gantry/store", {"Resources": ids, "Synchronous": True})
        asking.wait_searchable(site.modality, study_of(files[0]), 4)
        transaction = orthanc.post("/modalities/gantry/storage-commitment", {"Resources": ids})["ID"]
        eventually(lambda: orthanc.get(f"/storage-commitment/{transaction}")["Status"] == "Success", "committed", 40)
        for key in ids:
            orthanc.delete(f"/instances/{key}")
        query = orthanc.post("/modalities/gantry/query", {"Level": "Study", "Query": {"PatientID": "DOOR-ORTHANC"}})[
            "ID"
        ]
        orthanc.post(f"/queries/{query}/retrieve", {"TargetAet": "ORTHANC", "Synchronous": True})
        for file in files:
            assert orthanc.file_of(file.sop_instance_uid)


# ---- associations that mix roles


def test_a_modality_stores_and_gets_commitment_on_one_association(site: Site, door: FrontDoor, tmp_path: Path) -> None:
    before = door.passed_on().get("mixed", 0)
    files = study(tmp_path, 3, patient="DOOR-MIXED")
    receiver = Kept()
    contexts = [(CT, [EXPLICIT]), (StorageCommitmentPushModel, BOTH)]
    with associated(site.modality, contexts, kept=receiver) as association:
        for file in files:
            assert association.send_c_store(pydicom.dcmread(file.path)).Status == 0
        transaction = generate_uid()
        ds = Dataset()
        ds.TransactionUID = transaction
        ds.ReferencedSOPSequence = [Dataset() for _ in files]
        for item, file in zip(ds.ReferencedSOPSequence, files, strict=True):
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, file.sop_instance_uid
        status, _ = association.send_n_action(ds, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
        assert status.Status == 0
        # The report comes on this very association: MODALITY listens nowhere.
        kind, information = receiver.report(transaction)
    assert kind == 1
    assert len(information.ReferencedSOPSequence) == 3
    assert door.passed_on()["mixed"] == before + 1


def test_a_workstation_that_proposes_everything_does_everything_on_one_association(
    site: Site, door: FrontDoor, tmp_path: Path
) -> None:
    before = door.passed_on().get("mixed", 0)
    (file,) = study(tmp_path, 1, patient="DOOR-WS")
    receiver = Kept()
    contexts = [
        (VERIFICATION, BOTH),
        (CT, [EXPLICIT]),
        (STUDY_ROOT_FIND, BOTH),
        (STUDY_ROOT_MOVE, BOTH),
        (STUDY_ROOT_GET, BOTH),
        (StorageCommitmentPushModel, BOTH),
    ]
    with StoreScp(tmp_path / "moved", "DEST", port=site.ports["DEST"]) as destination:
        with associated(site.modality, contexts, kept=receiver) as association:
            assert association.send_c_echo().Status == 0
            assert association.send_c_store(pydicom.dcmread(file.path)).Status == 0
            asking.wait_found(site.modality, file)
            query = Dataset()
            query.QueryRetrieveLevel, query.StudyInstanceUID = "STUDY", study_of(file)
            assert [s.Status for s, _ in association.send_c_find(query, STUDY_ROOT_FIND)] == [0xFF00, 0]
            *_, (status, _) = association.send_c_move(query, "DEST", STUDY_ROOT_MOVE)
            assert status.Status == 0
        assert set(destination.received()) == {file.sop_instance_uid}
    assert door.passed_on()["mixed"] == before + 1


def test_a_peer_that_is_scu_and_scp_of_one_class_stores_and_gets_on_one_association(
    site: Site, door: FrontDoor, tmp_path: Path
) -> None:
    before = door.passed_on().get("mixed", 0)
    (file,) = study(tmp_path, 1, patient="DOOR-BOTH")
    receiver = Kept()
    contexts = [(CT, [EXPLICIT]), (STUDY_ROOT_GET, BOTH)]
    with associated(site.modality, contexts, kept=receiver, as_both=[CT]) as association:
        assert association.send_c_store(pydicom.dcmread(file.path)).Status == 0
        asking.wait_found(site.modality, file)
        query = Dataset()
        query.QueryRetrieveLevel, query.StudyInstanceUID = "STUDY", study_of(file)
        *_, (status, _) = association.send_c_get(query, STUDY_ROOT_GET)
    assert status.Status == 0
    assert set(receiver.data) == {file.sop_instance_uid}
    assert door.passed_on()["mixed"] == before + 1


# ---- who the peer is


def test_policy_and_logs_see_the_real_peer(site: Site, door: FrontDoor) -> None:
    def answer(source: str) -> bytes:
        from tests.support.wire import IMPLICIT, VERIFICATION, rq_bytes

        request = rq_bytes(calling_ae_title="ELSEWHERE", contexts=[(1, VERIFICATION, (IMPLICIT,))])
        with socket.create_connection(("127.0.0.1", door.port), source_address=(source, 0)) as sock:
            sock.sendall(request)
            return sock.recv(10)

    assert answer("127.0.0.2")[0] == 2
    # PS3.8 table 9-21: calling AE title not recognised, since it calls from an address that is not its own.
    assert answer("127.0.0.1")[:1] + answer("127.0.0.1")[7:10] == b"\3\1\1\3"
    everyone = [json.loads(line) for name in door.parts for line in door.lines(name, "ELSEWHERE")]
    assert {line["peer"] for line in everyone} == {"127.0.0.1", "127.0.0.2"}


def test_a_process_behind_the_door_takes_nobody_without_a_header(site: Site, door: FrontDoor) -> None:
    done = run("echoscu", "-aet", "MODALITY", "-aec", "GANTRY", "127.0.0.1", door.parts["query"][0].port)
    assert done.returncode != 0


# ---- what dies, and what is added


def test_a_role_that_dies_is_passed_by_and_found_again(site: Site, door: FrontDoor, tmp_path: Path) -> None:
    first, second = door.parts["ingest"]
    sent: list[list[DicomFile]] = []

    def send() -> None:
        sent.append(study(tmp_path / str(len(sent)), 2, patient=f"DOOR-DIES-{len(sent)}"))
        asking.store(site.modality, sent[-1])

    send()
    first.kill()
    for _ in range(4):
        send()
    second.kill()
    for _ in range(2):
        send()  # the mixed pool plays this role too
    eventually(lambda: door.http("/readyz")[0] == 503, "said")
    assert "ingest: no backend of" in door.http("/readyz")[1]
    first.start()
    second.start()
    eventually(lambda: door.http("/readyz")[0] == 200, "ready again")
    send()
    for files in sent:
        asking.wait_searchable(site.modality, study_of(files[0]), 2)
    assert "Traceback" not in door.log.read_text()


def test_an_association_whose_process_dies_is_seen_to_be_cut(site: Site, door: FrontDoor) -> None:
    victim = door.parts["retrieve"][0]
    with associated(site.modality, [(STUDY_ROOT_MOVE, BOTH)]) as association:
        victim.kill()
        eventually(lambda: not association.is_established, "cut", 10)
    victim.start()


def test_nobody_there_is_said_as_a_rejection_for_now(tmp_path: Path) -> None:
    door = FrontDoor(tmp_path, lab=True)
    nobody, door.parts = door.parts, {}
    assert nobody["ingest"][0].process is None
    door.start(ready=False)
    try:
        eventually(lambda: door.http("/healthz")[0] == 200, "alive")
        eventually(lambda: "listening" in door.log.read_text(), "listening")
        assert door.http("/readyz")[0] == 503
        (file,) = study(tmp_path / "sent", 1, size=16)
        done = run("storescu", "-aec", "GANTRY", "127.0.0.1", door.port, file.path)
        assert "Temporary Congestion" in done.stdout
        with pytest.raises((AssociationRejected, AssertionError)):
            asking.store(door.peer, [file])
    finally:
        assert door.stop() == 0


def test_the_door_drains_and_what_is_under_way_ends_well(site: Site, tmp_path: Path) -> None:
    ports = {"MODALITY": free_port()}
    door = opened(tmp_path, ports, scale=INGEST_ALONE)
    try:
        with associated(Site(door, ports).modality, [(CT, [EXPLICIT])]) as association:
            assert door.process is not None
            door.process.send_signal(signal.SIGTERM)
            eventually(lambda: run("echoscu", "127.0.0.1", door.port).returncode != 0, "closed")
            (file,) = study(tmp_path / "sent", 1, size=16)
            assert association.send_c_store(pydicom.dcmread(file.path)).Status == 0
        assert door.wait_dead() == 0
    finally:
        door.stop()


# ---- TLS


def test_tls_ends_at_the_door_and_policy_knows_of_it(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "certificates", "authority")
    server, client = authority.sign("door"), authority.sign("modality")
    environment = {
        "GANTRY_TLS__CERTIFICATE": str(server.certificate),
        "GANTRY_TLS__KEY": str(server.key),
        "GANTRY_TLS__CA": str(authority.ca),
    }
    door = FrontDoor(tmp_path, door=environment, scale=INGEST_ALONE)
    # This peer must use TLS; the processes behind the door speak none.
    door.write_policy([f"{{ae_title: MODALITY, host: 127.0.0.1, may: {EVERYTHING}, tls: true}}"])
    door.start()
    try:
        files = study(tmp_path / "sent", 3, patient="DOOR-TLS")
        tls = ("+tls", client.key, client.certificate, "+cf", authority.ca)
        ok("storescu", *tls, "-aet", "MODALITY", "-aec", "GANTRY", "127.0.0.1", door.port, *[f.path for f in files])
        assert run("storescu", "-aet", "MODALITY", "-aec", "GANTRY", "127.0.0.1", door.port, files[0].path).returncode
        assert door.parts["ingest"][0].metric("gantry_objects_received_total") == 3
    finally:
        assert door.stop() == 0


# ---- many at once


def test_many_at_once_through_the_door_lose_nothing(site: Site, door: FrontDoor, tmp_path: Path) -> None:
    studies = [study(tmp_path / str(n), 10, patient=f"DOOR-MANY-{n}") for n in range(8)]
    threads = [
        threading.Thread(target=run, args=("storescu", "+sd", *site.address, tmp_path / str(n))) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for files in studies:
        asking.wait_searchable(site.modality, study_of(files[0]), 10)
    took = [process.metric("gantry_objects_received_total") for process in door.parts["ingest"]]
    assert min(took) > 0, took
    assert os.path.exists(f"/proc/{door.process.pid}")  # type: ignore[union-attr]


def test_dicomweb_goes_to_the_role_of_its_path(site: Site, door: FrontDoor, tmp_path: Path) -> None:
    files = study(tmp_path, 3)
    asking.store(site.modality, files)
    uid = study_of(files[0])
    asking.wait_searchable(site.modality, uid, 3)
    (match,) = ask_json(door, f"/dicom-web/studies?StudyInstanceUID={uid}")
    # Clients are told the door's address, not that of the process behind it.
    assert match["00081190"]["Value"] == [f"http://127.0.0.1:{door.http_port}/dicom-web/studies/{uid}"]
    accept = "multipart/related; type=application/dicom; transfer-syntax=*"
    assert len(ask_parts(door, f"/dicom-web/studies/{uid}", accept)) == 3
    assert len(ask_json(door, f"/dicom-web/studies/{uid}/metadata")) == 3
    status, body, _ = ask(door, "/dicom-web/studies", X_Forwarded_For="192.0.2.7")
    assert status == 403, body
    status, body, _ = ask(door, "/dicom-web/studies/1.2.3.4.5")
    assert (status, body) == (404, b"not found\n")
    counts = [
        process.metric("gantry_http_requests_total") for name in ("query", "retrieve") for process in door.parts[name]
    ]
    assert all(counts)


def test_whoever_is_near_the_services_and_has_no_key_names_nobody(site: Site, door: FrontDoor) -> None:
    service = door.parts["query"][0]
    lie = encode(Origin("127.0.0.2", 40000), ("127.0.0.1", service.port))
    with socket.create_connection(("127.0.0.1", service.port)) as liar:
        liar.sendall(lie + rq_bytes())
        liar.settimeout(5)
        assert _rest(liar) == b""
    wait_for(lambda: bool(door.lines("query", "no proof by the key of door.key_file")), 5, "the refusal")
    status, body, _ = ask(service, "/dicom-web/studies", X_Forwarded_For="127.0.0.1")
    assert (status, body) == (
        400,
        b"X-Forwarded-For is taken from the front door alone: no proof by the key of door.key_file\n",
    )
    assert service.metric("gantry_origins_refused_total") == 2
    assert 'gantry_connections_failed_total{reason="unproven"} 1.0' in service.http("/metrics")[1]
    secret = door.key.read_text().strip()
    everyone = [door, *(process for processes in door.parts.values() for process in processes)]
    assert not [process.log for process in everyone if secret in process.log.read_text()]


def _rest(sock: socket.socket) -> bytes:
    try:
        return sock.recv(1)
    except ConnectionResetError:
        return b""
