"""The Store Instances Response: statuses and module, whatever became of the instances."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from gantry.common.errors import DependencyUnavailable, GantryError, MismatchedDataSet, NotUnderstood, QuotaReached
from gantry.services.ingest.stow.response import (
    COERCED,
    StowOutcome,
    failed_outcome,
    response_of,
    status_of,
    words_of_failures,
)
from tests.support.dicom import CT_IMAGE, uids

STORED = StowOutcome(CT_IMAGE, "1.2.3.4", "1.2", "1.2.3")
REFUSED = failed_outcome(MismatchedDataSet("other study"), CT_IMAGE, "1.2.3.5")
AWAY = failed_outcome(DependencyUnavailable("object store", "full"), CT_IMAGE, "1.2.3.6")
FULL = failed_outcome(QuotaReached(), CT_IMAGE, "1.2.3.7")
JUNK = failed_outcome(NotUnderstood("junk"))

_outcomes = st.lists(
    st.one_of(
        st.builds(StowOutcome, uids, uids, uids, uids, st.just(0), st.sampled_from([0, COERCED])),
        st.builds(
            StowOutcome, st.just(CT_IMAGE), uids, failure=st.sampled_from([0xA700, 0xA900, 0xC000, 0x0122, 0x0110])
        ),
        st.builds(StowOutcome, failure=st.just(0xC000)),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ([STORED, STORED], 200),
        ([STORED, REFUSED], 202),
        ([StowOutcome(CT_IMAGE, "1.2.3.4", "1.2", "1.2.3", warning=COERCED)], 202),
        ([REFUSED, JUNK], 409),
        ([AWAY, AWAY], 503),
        ([AWAY, FULL], 503),
        ([FULL, REFUSED], 409),
        ([FULL, STORED], 202),
        ([AWAY, REFUSED], 409),
        ([AWAY, STORED], 202),
    ],
)
def test_the_status_tells_whether_all_some_or_none_is_stored(outcomes: list[StowOutcome], status: int) -> None:
    assert status_of(outcomes) == status


@given(_outcomes)
def test_every_instance_is_in_the_response_once_as_pydicom_reads_it(outcomes: list[StowOutcome]) -> None:
    read = Dataset.from_json(json.dumps(response_of(outcomes, "http://archive/dicom-web")))
    stored = [item.ReferencedSOPInstanceUID for item in read.get("ReferencedSOPSequence", [])]
    refused = [(i.ReferencedSOPInstanceUID, i.FailureReason) for i in read.get("FailedSOPSequence", [])]
    nameless = [item.FailureReason for item in read.get("OtherFailuresSequence", [])]
    assert stored == [o.sop_instance_uid for o in outcomes if not o.failure]
    assert refused == [(o.sop_instance_uid, o.failure) for o in outcomes if o.failure and o.sop_instance_uid]
    assert nameless == [o.failure for o in outcomes if o.failure and not o.sop_instance_uid]
    warned = [item.get("WarningReason", 0) for item in read.get("ReferencedSOPSequence", [])]
    assert warned == [o.warning for o in outcomes if not o.failure]
    one_study = len({o.study_instance_uid for o in outcomes if not o.failure}) == 1
    assert ("RetrieveURL" in read) == one_study


def test_an_instance_is_told_where_it_can_be_fetched() -> None:
    response = response_of([STORED], "https://archive/dicom-web")
    assert response["00081190"]["Value"] == ["https://archive/dicom-web/studies/1.2"]
    url = response["00081199"]["Value"][0]["00081190"]["Value"]
    assert url == ["https://archive/dicom-web/studies/1.2/series/1.2.3/instances/1.2.3.4"]


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "1..2", "<script>", "1" * 65])
def test_what_is_no_uid_is_not_repeated(name: str) -> None:
    outcome = failed_outcome(NotUnderstood("no uid"), CT_IMAGE, name)
    assert (outcome.sop_class_uid, outcome.sop_instance_uid) == ("", "")


def test_a_failure_says_in_words_what_is_wrong_with_the_instance() -> None:
    response = response_of([REFUSED, JUNK], "https://archive/dicom-web")
    (refused,), (junk,) = response["00081198"]["Value"], response["0008119A"]["Value"]
    assert refused["00000902"] == {"vr": "LO", "Value": ["other study"]}
    assert junk["00000902"] == {"vr": "LO", "Value": ["junk"]}
    long = response_of([failed_outcome(NotUnderstood("x" * 100), CT_IMAGE, "1.2.3")], "https://archive/dicom-web")
    assert long["00081198"]["Value"][0]["00000902"]["Value"] == ["x" * 64]  # LO


def test_the_log_says_why_instances_failed_and_how_many() -> None:
    assert words_of_failures([STORED]) == ""
    assert words_of_failures([STORED, JUNK, REFUSED, JUNK]) == "C000H junk (2); A900H other study (1)"
    many = [failed_outcome(NotUnderstood(f"reason {number}")) for number in range(5)]
    assert words_of_failures(many).endswith("C000H reason 2 (1); and 2 other reasons")


def test_an_error_of_ours_has_a_failure_reason_too() -> None:
    assert failed_outcome(GantryError("anything")).failure == 0x0110
