"""Errors of frames and pictures as HTTP problems."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gantry.common.errors import TooLarge
from gantry.common.web.errors import HttpProblem
from gantry.services.retrieve.damage import Damaged
from gantry.services.retrieve.pixels.converter import ConversionFailed
from gantry.services.retrieve.pixels.image import NoFrame, NoImage


@contextmanager
def as_problems() -> Iterator[None]:
    """PS3.18 8.5, 10.4.3: 404 if there is no image or frame, 406 if it cannot be converted as requested, 413 if it is
    too large, 422 if the object contradicts itself, 500 if it is lost or damaged; `Unavailable` itself becomes 503."""
    try:
        yield
    except NoImage as error:
        raise HttpProblem(422 if error.is_impossible else 404, str(error)) from error
    except NoFrame as error:
        raise HttpProblem(404, str(error)) from error
    except ConversionFailed as error:
        raise HttpProblem(406, f"the frame cannot be shown or decoded: {error}") from error
    except TooLarge as error:
        raise HttpProblem(413, str(error)) from error
    except Damaged as error:
        raise HttpProblem(500, str(error), {"Cache-Control": "no-store"}) from error


@contextmanager
def as_bad_request() -> Iterator[None]:
    """`ValueError` of an invalid parameter as `HttpProblem` 400."""
    try:
        yield
    except ValueError as error:
        raise HttpProblem(400, str(error)) from error
