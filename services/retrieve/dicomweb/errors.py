"""What goes wrong with frames and pictures, as an HTTP answer."""

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
    """PS3.18 8.5, 10.4.3: 404 for what is not there, 406 for what cannot be had so, 422 for what cannot be, 500 for
    what is lost; 503 comes from `Unavailable` by itself."""
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
    """A parameter that cannot be."""
    try:
        yield
    except ValueError as error:
        raise HttpProblem(400, str(error)) from error
