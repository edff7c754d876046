"""What goes wrong, as an HTTP answer (PS3.18 8.5)."""

from __future__ import annotations

import pytest

from gantry.common import errors
from gantry.common.errors import (
    AssociationRejected,
    ConfigError,
    Corrupt,
    DependencyUnavailable,
    EntryRefused,
    GantryError,
    IdentifierError,
    MismatchedDataSet,
    NotAuthorised,
    NotFound,
    NotUnderstood,
    QuotaReached,
    TooLarge,
)
from gantry.common.web.errors import RETRY_AFTER_SECONDS, HttpProblem, problem_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DependencyUnavailable("index", "timeout"), 503),
        (QuotaReached(), 503),
        (NotFound("objects/secret/key"), 404),
        (IdentifierError(0xA900, "no such level"), 400),
        (IdentifierError(0xC000, "not a date"), 400),
        (IdentifierError(0xA700, "too many matches"), 413),
        (NotAuthorised("not you"), 403),
        (TooLarge("more than 5 bytes"), 413),
        (MismatchedDataSet("uids differ"), 409),
        (NotUnderstood("cut off"), 409),
        (Corrupt("digest"), 500),
        (ConfigError("/etc/gantry.yaml", 3, "password"), 500),
        (EntryRefused(1, "x"), 500),
        (AssociationRejected(1, 1, 1, "x"), 500),
        (GantryError("anything"), 500),
    ],
)
def test_a_kind_of_error_has_its_status(error: GantryError, status: int) -> None:
    assert problem_of(error).status == status


def test_a_problem_stays_what_it_is() -> None:
    problem = HttpProblem(406, "we have none", {"Accept": "a/b"})
    assert problem_of(problem) is problem
    assert (problem.status, problem.line, problem.headers) == (406, "we have none", {"Accept": "a/b"})


def test_what_may_succeed_later_says_when() -> None:
    """RFC 9110 10.2.3."""
    assert problem_of(DependencyUnavailable("index", "x")).headers == {"Retry-After": str(RETRY_AFTER_SECONDS)}
    assert problem_of(QuotaReached()).headers == {"Retry-After": str(RETRY_AFTER_SECONDS)}


@pytest.mark.parametrize("error", [NotFound("objects/a/b"), Corrupt("at /data/x"), ConfigError("/etc/x", 1, "secret")])
def test_an_answer_says_nothing_of_our_insides(error: GantryError) -> None:
    assert problem_of(error).line in ("not found", "internal error")


def test_every_kind_of_the_tree_becomes_an_answer_of_failure() -> None:
    for cls in vars(errors).values():
        if isinstance(cls, type) and issubclass(cls, GantryError):
            error = cls.__new__(cls)
            Exception.__init__(error, "words")
            assert 400 <= problem_of(error).status < 600
