"""What is asked for by C-GET of a study that is here in part."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.standard.tags import SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from gantry.services.retrieve.routing.prior_getting import requests_for

STORED = [f"1.3.{number}" for number in range(12)]


def asked(missing: Mapping[str, tuple[str, str]]) -> list[tuple[str, list[str], tuple[str, ...]]]:
    found = list(requests_for("1.9", missing, STORED))
    assert all(one.identifier[STUDY_INSTANCE_UID] == ["1.9"] for one in found)
    return [(one.identifier[SERIES_INSTANCE_UID][0], one.identifier[SOP_INSTANCE_UID], one.classes) for one in found]


def test_each_series_is_asked_for_by_itself_a_hundred_instances_at_a_time() -> None:
    missing = {f"1.5.{number}": ("1.1", "1.3.0") for number in range(101)} | {"1.6.1": ("1.2", "1.3.1")}
    requests = asked(missing)
    assert [(series, len(uids), classes) for series, uids, classes in requests] == [
        ("1.1", 100, ("1.3.0",)),
        ("1.1", 1, ("1.3.0",)),
        ("1.2", 1, ("1.3.1",)),
    ]


def test_what_says_no_class_or_one_that_is_not_stored_here_is_asked_for_with_all_classes() -> None:
    missing = {"1.5.1": ("1.1", ""), "1.5.2": ("1.1", "1.3.0"), "1.5.3": ("1.1", "9.9")}
    assert asked(missing) == [("1.1", ["1.5.2"], ("1.3.0",)), ("1.1", ["1.5.1", "1.5.3"], ())]


@given(st.dictionaries(st.integers(0, 400), st.tuples(st.sampled_from(["1.1", "1.2"]), st.sampled_from([*STORED, ""]))))
def test_each_instance_is_asked_for_once_and_no_request_has_too_many_classes(
    found: dict[int, tuple[str, str]],
) -> None:
    missing = {f"1.5.{number}": of for number, of in found.items()}
    requests = asked(missing)
    assert sorted(uid for _, uids, _ in requests for uid in uids) == sorted(missing)
    for series, uids, classes in requests:
        assert len(classes) <= 8
        assert {missing[uid] for uid in uids} <= {(series, one) for one in classes or [""]}
