"""The job of an import in place: what remains, what has a receipt, and the totals at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gantry.common.errors import ConfigError
from gantry.common.ports.foreign import ForeignObject
from gantry.services.ingest.in_place.job import InPlaceJob, ObjectIdentity, ObjectState

ONE, TWO = ForeignObject("a/1", 100, "t1"), ForeignObject("a/2", 100, "t1")
FOUND = ObjectIdentity("1.2", "1.3", "1.4", 60)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "job.db"


@pytest.fixture
def job(path: Path) -> Iterator[InPlaceJob]:
    job = InPlaceJob(path, "old", "s3://objects")
    yield job
    job.close()


def opened(path: Path) -> InPlaceJob:
    return InPlaceJob(path, "old", "s3://objects")


def test_what_is_done_is_not_left_and_what_failed_is(job: InPlaceJob) -> None:
    job.see([ONE, TWO])
    job.tell("a/1", ObjectState.TAKEN)
    assert list(job.left()) == [TWO]
    job.tell("a/2", ObjectState.FAILED, "away")
    assert (list(job.left()), job.count_left()) == ([TWO], 1)
    job.tell("a/2", ObjectState.MISSING)
    assert list(job.left()) == [TWO]


def test_everything_is_left_in_the_order_of_keys_however_many(job: InPlaceJob) -> None:
    many = [ForeignObject(f"k{number:05}", 1, "t") for number in range(1203)]
    job.see(list(reversed(many)))
    assert list(job.left()) == many


def test_one_that_was_changed_is_looked_at_again_with_a_new_receipt(job: InPlaceJob) -> None:
    job.see([ONE])
    assert job.receipt("a/1", "first") == "first"
    job.tell("a/1", ObjectState.TAKEN)
    job.see([ONE])
    assert list(job.left()) == []
    changed = ForeignObject("a/1", 100, "t2")
    job.see([changed])
    assert list(job.left()) == [changed]
    assert job.receipt("a/1", "second") == "second"


def test_a_receipt_outlives_the_run_that_gave_it(path: Path) -> None:
    killed = opened(path)
    killed.see([ONE])
    killed.receipt("a/1", "first")
    killed.close()
    job = opened(path)
    job.see([ONE])
    assert job.receipt("a/1", "second") == "first"
    assert job.given("a/1") == "first"
    job.close()


def test_again_is_a_new_receipt_for_what_was_taken_and_the_same_for_what_was_under_way(job: InPlaceJob) -> None:
    job.see([ONE, TWO])
    for key in ("a/1", "a/2"):
        job.receipt(key, f"first of {key}")
    job.tell("a/1", ObjectState.TAKEN)
    job.reset_objects()
    assert list(job.left()) == [ONE, TWO]
    assert job.receipt("a/1", "new") == "new"
    assert job.receipt("a/2", "new") == "first of a/2"


def test_of_two_objects_that_are_one_instance_the_first_that_is_looked_at_counts(job: InPlaceJob) -> None:
    job.see([ONE, TWO])
    job.note("a/1", FOUND)
    assert job.same("a/1", FOUND) is None
    job.note("a/2", FOUND)
    assert job.same("a/2", FOUND) == 60
    job.tell("a/2", ObjectState.DUPLICATE)
    assert job.same("a/1", FOUND) is None


def test_a_duplicate_is_looked_at_again_where_the_other_was_not_taken(job: InPlaceJob) -> None:
    job.see([ONE, TWO])
    for key in ("a/1", "a/2"):
        job.note(key, FOUND)
    job.tell("a/1", ObjectState.TAKEN)
    job.tell("a/2", ObjectState.DUPLICATE)
    job.reconsider()
    assert list(job.left()) == []
    job.tell("a/1", ObjectState.REFUSED)
    job.reconsider()
    assert list(job.left()) == [TWO]


def test_what_was_taken_and_is_not_listed_any_more_is_told(path: Path) -> None:
    first = opened(path)
    first.see([ONE, TWO])
    first.tell("a/1", ObjectState.TAKEN)
    first.tell("a/2", ObjectState.TAKEN)
    first.close()
    job = opened(path)
    job.see([TWO])
    assert (job.gone(), job.counts()) == (1, {"taken": (1, 100)})
    assert [row[0] + row[4] for row in job.report()] == ["gonea/1"]
    job.close()


def test_the_report_has_what_was_not_taken(job: InPlaceJob) -> None:
    job.see([ONE, TWO])
    job.note("a/1", FOUND)
    job.tell("a/1", ObjectState.DIFFERENT, "another length")
    job.tell("a/2", ObjectState.HERE)
    assert list(job.report()) == [("different", "1.2", "1.3", "1.4", "a/1", "another length")]
    assert (list(job.studies()), job.instances("1.2")) == (["1.2"], {("1.3", "1.4")})


def test_a_job_of_somewhere_else_is_refused_and_so_is_what_is_no_job_file(path: Path, tmp_path: Path) -> None:
    opened(path).close()
    with pytest.raises(ConfigError, match="target s3://objects"):
        InPlaceJob(path, "old", "s3://others")
    (tmp_path / "junk").write_bytes(b"junk" * 2000)
    with pytest.raises(ConfigError, match="not a job file"):
        InPlaceJob(tmp_path / "junk", "old", "s3://objects")


def test_keys_that_are_no_text_come_back(job: InPlaceJob) -> None:
    key = b"\xff\xfe/1".decode("utf-8", "surrogateescape")
    job.see([ForeignObject(key, 1, "t")])
    assert [entry.key for entry in job.left()] == [key]
    job.tell(key, ObjectState.FAILED, "x")
    assert next(job.report())[4] == r"\xff\xfe/1"
