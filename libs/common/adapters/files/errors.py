"""What an `OSError` means to a caller of the object store: decided in this one place."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from gantry.common.errors import DependencyUnavailable, GantryError, NotFound

DEPENDENCY = "object store"


def translated(error: OSError) -> GantryError:
    """`error` as a `GantryError`. It contains no path: the message may be sent to a peer."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
        return NotFound("no such object")
    number = error.errno or 0
    return DependencyUnavailable(DEPENDENCY, os.strerror(number) if number else type(error).__name__)


def refused(error: Exception) -> Exception:
    """`error`, raised while storing, as a `GantryError`. If something is missing, it is a folder of the store and not
    an object."""
    if not isinstance(error, OSError):
        return error
    if error.errno in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY):
        return ValueError("a key may not be the folder of another key")
    if error.errno == errno.ENOENT:
        return DependencyUnavailable(DEPENDENCY, "its folder is gone")
    return translated(error)


@contextmanager
def translating() -> Iterator[None]:
    """Every `OSError` inside becomes `NotFound` or `DependencyUnavailable`."""
    try:
        yield
    except OSError as error:
        raise translated(error) from error
