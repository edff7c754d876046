"""What an `OSError` means to a caller of the object store: one place decides."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from gantry.common.errors import DependencyUnavailable, GantryError, NotFound

DEPENDENCY = "object store"


def translated(error: OSError) -> GantryError:
    """`error` as an error of ours. It carries no path: the message may travel to a peer."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
        return NotFound("no such object")
    number = error.errno or 0
    return DependencyUnavailable(DEPENDENCY, os.strerror(number) if number else type(error).__name__)


def refused(error: Exception) -> Exception:
    """`error`, met while storing, as an error of ours. What is missing here is a folder of ours, not an object."""
    if not isinstance(error, OSError):
        return error
    if error.errno in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY):
        return ValueError("a key may not be the folder of another key")
    if error.errno == errno.ENOENT:
        return DependencyUnavailable(DEPENDENCY, "its folder is gone")
    return translated(error)


@contextmanager
def translating() -> Iterator[None]:
    """Everything that the file system says inside becomes `NotFound` or `DependencyUnavailable`."""
    try:
        yield
    except OSError as error:
        raise translated(error) from error
