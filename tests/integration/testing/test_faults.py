"""An archive that fails on demand and shows what it received. The sender is pynetdicom, as somebody else's would be."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context
from pynetdicom.association import Association

from gantry.testing import InProcessGantry, make_study
from tests.support.objects import CT

FIND = "1.2.840.10008.5.1.4.1.2.2.1"


@pytest.fixture(scope="module")
def one_for_all() -> Iterator[InProcessGantry]:
    with InProcessGantry() as archive:
        yield archive


@pytest.fixture
def archive(one_for_all: InProcessGantry) -> Iterator[InProcessGantry]:
    yield one_for_all
    one_for_all.behave()


def associate(archive: InProcessGantry, title: str = "CT1", **tls: object) -> Association:
    ae = AE(ae_title=title)
    ae.requested_contexts = [build_context(CT), build_context(FIND), build_context("1.2.840.10008.1.1")]
    return ae.associate(archive.host, archive.port, ae_title=archive.ae_title, **tls)


def store(association: Association, ds: Dataset) -> int | None:
    return getattr(association.send_c_store(ds), "Status", None)


def test_the_next_stores_fail_as_planned_and_the_one_after_is_kept(archive: InProcessGantry) -> None:
    study = make_study("CT", 3)
    archive.fail_next("store", 0xA700, times=2)
    association = associate(archive)
    assert [store(association, ds) for ds in study.data_sets] == [0xA700, 0xA700, 0x0000]
    association.release()
    assert archive.wait_for(study=study.study_instance_uid) == [study.sop_instance_uids[2]]
    stores = [request for request in archive.received if request.operation == "store"][-3:]
    assert [request.status for request in stores] == [0xA700, 0xA700, 0]
    assert [request.sop_instance_uid for request in stores] == study.sop_instance_uids
    assert all(
        request.calling_ae_title == "CT1" and study.data_sets[0].PixelData[:64] in request.data
        for request in stores[:1]
    )


def test_other_operations_are_not_touched_by_a_failure_of_one(archive: InProcessGantry) -> None:
    archive.fail_next("find", 0xC001)
    archive.echo()
    with pytest.raises(RuntimeError, match="C001H"):
        archive.find("STUDY", "StudyInstanceUID")
    archive.find("STUDY", "StudyInstanceUID")


def test_an_answer_is_late_as_often_as_planned(archive: InProcessGantry) -> None:
    archive.delay(0.4, "echo", times=1)
    began = time.monotonic()
    archive.echo()
    middle = time.monotonic()
    archive.echo()
    assert middle - began >= 0.4 > time.monotonic() - middle


def test_an_association_is_aborted_after_its_second_object_and_the_next_is_not(archive: InProcessGantry) -> None:
    study = make_study("CT", 3)
    archive.abort_after(2)
    association = associate(archive)
    statuses = [store(association, ds) for ds in study.data_sets[:2]]
    assert statuses[0] == 0
    deadline = time.monotonic() + 5
    while not association.is_aborted and time.monotonic() < deadline:
        time.sleep(0.01)
    assert association.is_aborted
    again = associate(archive)
    assert store(again, study.data_sets[2]) == 0
    again.release()
    deadline = time.monotonic() + 5
    while archive.associations[-1].outcome == "open" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [association.outcome for association in archive.associations if association.calling_ae_title == "CT1"][
        -2:
    ] == [
        "aborted",
        "released",
    ]


def test_a_title_is_rejected_with_the_numbers_that_were_asked_for(archive: InProcessGantry) -> None:
    archive.reject("CT9", 2, 3, 2)
    association = associate(archive, "CT9")
    assert association.is_rejected
    primitive = association.acceptor.primitive
    assert (primitive.result, primitive.result_source, primitive.diagnostic) == (2, 3, 2)
    assert (archive.associations[-1].calling_ae_title, archive.associations[-1].outcome) == ("CT9", "rejected")
    archive.behave()
    assert associate(archive, "CT9").is_established


def test_waiting_for_what_does_not_come_says_how_much_there_is(archive: InProcessGantry) -> None:
    study = archive.make_study("MR", instances=4, series=2, patient_id="P4")
    assert archive.wait_for(study=study.study_instance_uid, instances=4) == sorted(study.sop_instance_uids)
    series = study.series_instance_uids[0]
    assert len(archive.wait_for(study=study.study_instance_uid, series=series, instances=2)) == 2
    with pytest.raises(TimeoutError, match="4 of 5 instances"):
        archive.wait_for(study=study.study_instance_uid, instances=5, seconds=0.3)


def test_a_secure_archive_wants_a_certificate_and_a_token(secure_gantry: InProcessGantry) -> None:
    security = secure_gantry.security
    assert security is not None
    study = secure_gantry.make_study("CT", instances=2)
    association = associate(secure_gantry, tls_args=(security.client_context(), "localhost"))
    assert association.is_established
    association.release()
    assert not associate(secure_gantry).is_established
    url = f"{secure_gantry.http_url}/dicom-web/studies?StudyInstanceUID={study.study_instance_uid}"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url, timeout=5)
    assert refused.value.code == 401
    with urllib.request.urlopen(urllib.request.Request(url, headers=security.headers), timeout=5) as answer:
        assert study.study_instance_uid.encode() in answer.read()
    assert secure_gantry.associations[-1].tls


@pytest.mark.parametrize(
    "wrong",
    [
        lambda a: a.fail_next("print", 0xA700),
        lambda a: a.fail_next("store", 0),
        lambda a: a.fail_next("store", 0xA700, times=0),
        lambda a: a.delay(-1.0),
        lambda a: a.abort_after(0),
        lambda a: a.seed("/no/such/folder"),
    ],
)
def test_a_plan_that_makes_no_sense_fails(archive: InProcessGantry, wrong: object) -> None:
    with pytest.raises((ValueError, FileNotFoundError)):
        wrong(archive)  # type: ignore[operator]
