"""What an `OSError` means to a caller of the object store."""

from __future__ import annotations

import errno

import pytest

from gantry.common.adapters.files.errors import refused, translated, translating
from gantry.common.errors import DependencyUnavailable, NotFound

PATH = "/data/objects/secret"


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR, errno.EISDIR])
def test_where_no_object_can_be_there_is_none(number: int) -> None:
    assert isinstance(translated(OSError(number, "x", PATH)), NotFound)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EMFILE, errno.EROFS, errno.ESTALE])
def test_a_disk_that_fails_may_be_well_again(number: int) -> None:
    error = translated(OSError(number, "x", PATH))
    assert isinstance(error, DependencyUnavailable)
    assert error.retryable


@pytest.mark.parametrize("error", [OSError(errno.ENOENT, "x", PATH), OSError(errno.EIO, "x", PATH), OSError(PATH)])
def test_no_path_is_in_a_message(error: OSError) -> None:
    """It may travel to a peer."""
    assert PATH not in str(translated(error))


def test_what_is_missing_while_storing_is_a_folder_of_ours() -> None:
    assert isinstance(refused(OSError(errno.ENOENT, "x", PATH)), DependencyUnavailable)
    assert isinstance(refused(OSError(errno.ENOSPC, "x", PATH)), DependencyUnavailable)


@pytest.mark.parametrize("number", [errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY])
def test_a_key_that_is_the_folder_of_another_is_a_mistake_of_the_caller(number: int) -> None:
    assert isinstance(refused(OSError(number, "x", PATH)), ValueError)


def test_other_errors_stay_what_they_are() -> None:
    error = RuntimeError("x")
    assert refused(error) is error
    with pytest.raises(RuntimeError), translating():
        raise error
    with pytest.raises(NotFound), translating():
        raise FileNotFoundError(errno.ENOENT, "x", PATH)
