"""What goes wrong with frames and pictures, as an HTTP answer (PS3.18 8.5, 10.4.3)."""

from __future__ import annotations

import pytest

from gantry.common.errors import DependencyUnavailable, NotFound, TooLarge
from gantry.common.web.errors import HttpProblem
from gantry.services.retrieve.damage import MISSING, WRONG_DIGEST, WRONG_SIZE, Damaged
from gantry.services.retrieve.dicomweb.errors import as_bad_request, as_problems
from gantry.services.retrieve.pixels.image import NoFrame, NoImage
from gantry.services.retrieve.pixels.pool import ConversionFailed


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NoImage("this object has no frames"), 404),
        (NoImage("cannot be", is_impossible=True), 422),
        (NoFrame("there are 3 frames"), 404),
        (ConversionFailed("jpeg"), 406),
        (TooLarge("a picture"), 413),
        *((Damaged(reason), 500) for reason in (MISSING, WRONG_SIZE, WRONG_DIGEST)),
    ],
)
def test_a_fault_has_its_status_and_its_words(error: Exception, status: int) -> None:
    with pytest.raises(HttpProblem) as problem, as_problems():
        raise error
    assert problem.value.status == status
    assert str(error) in problem.value.line
    assert problem.value.__cause__ is error


def test_no_cache_keeps_what_is_lost() -> None:
    """Another receipt may heal it."""
    with pytest.raises(HttpProblem) as problem, as_problems():
        raise Damaged(MISSING)
    assert problem.value.headers == {"Cache-Control": "no-store"}


@pytest.mark.parametrize("error", [DependencyUnavailable("index", "x"), NotFound("x"), ValueError("x"), KeyError("x")])
def test_other_errors_pass_through(error: Exception) -> None:
    with pytest.raises(type(error)), as_problems():
        raise error


def test_a_parameter_that_cannot_be_is_a_bad_request() -> None:
    with pytest.raises(HttpProblem) as problem, as_bad_request():
        raise ValueError("quality is not a number")
    assert (problem.value.status, problem.value.line) == (400, "quality is not a number")


def test_without_a_fault_nothing_happens() -> None:
    with as_problems(), as_bad_request():
        pass
