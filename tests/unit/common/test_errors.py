"""The error tree: what its drawing says is what the classes are, and every kind says what a caller may do."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import pytest

from gantry.common import errors
from gantry.common.errors import (
    AssociationRejected,
    ConfigError,
    ContextNotAccepted,
    DependencyUnavailable,
    EntryRefused,
    GantryError,
    IdentifierError,
    PeerError,
    RefusedDataSet,
)


def _drawn() -> dict[str, str]:
    """Class and parent, as the drawing has them."""
    parents: dict[str, str] = {}
    above: list[str] = ["GantryError"]
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ((?:│   |    )*)[├└]── (\w+)", line)
        if match:
            depth = len(match.group(1)) // 4 + 1
            del above[depth:]
            parents[match.group(2)] = above[-1]
            above.append(match.group(2))
    return parents


def _defined() -> Iterator[type[GantryError]]:
    for _, cls in inspect.getmembers(errors, inspect.isclass):
        if issubclass(cls, GantryError) and cls is not GantryError:
            yield cls


def test_the_drawing_is_the_tree() -> None:
    assert _drawn() == {cls.__name__: cls.__base__.__name__ for cls in _defined() if cls.__base__ is not None}


@pytest.mark.parametrize(("name", "status"), re.findall(r"[├└]── (\w+) +([0-9A-F]{4})H:", errors.__doc__ or ""))
def test_a_kind_carries_the_status_that_is_drawn_beside_it(name: str, status: str) -> None:
    assert getattr(errors, name).dicom_status == int(status, 16)


def test_every_refused_data_set_has_a_status_of_c_store() -> None:
    """PS3.4 B.2.3 and PS3.7 9.1.1.1.9: A7xxH, A9xxH, CxxxH, 0122H, 0124H."""
    kinds = [cls for cls in _defined() if issubclass(cls, RefusedDataSet)]
    assert len(kinds) > 3
    for cls in kinds:
        assert (
            cls.dicom_status >> 8 in (0xA7, 0xA9) or cls.dicom_status >> 12 == 0xC or cls.dicom_status in (0x122, 0x124)
        )


def test_what_may_succeed_later_can_be_tried_again_and_nothing_else() -> None:
    again = {cls.__name__ for cls in _defined() if cls.retryable}
    assert again == {
        "DependencyUnavailable",
        "KeyWithheld",
        "QuotaReached",
        "PeerError",
        "ConnectionFailed",
        "AssociationRejected",
        "AssociationAborted",
        "PeerTimeout",
    }
    assert not ContextNotAccepted("context").retryable


@pytest.mark.parametrize(("result", "again"), [(1, False), (2, True)])
def test_a_transient_rejection_can_be_tried_again_and_a_permanent_one_cannot(result: int, again: bool) -> None:
    """PS3.8 table 9-21: 1 is rejected-permanent, 2 is rejected-transient."""
    error = AssociationRejected(result, 3, 2, "local limit exceeded")
    assert error.retryable is again
    assert (error.result, error.source, error.reason) == (result, 3, 2)
    assert str(error) == f"association rejected ({result}/3/2): local limit exceeded"
    assert isinstance(error, PeerError)


def test_an_error_of_a_file_says_file_line_and_reason() -> None:
    assert str(ConfigError("ae.yaml", 7, "unknown key")) == "ae.yaml:7: unknown key"
    assert str(ConfigError("ae.yaml", None, "is not there")) == "ae.yaml: is not there"


def test_an_error_carries_what_its_caller_needs() -> None:
    assert IdentifierError(0xA900, "no level", (0x00080052,)).offending == (0x00080052,)
    assert IdentifierError(0xC000, "x").dicom_status == 0xC000
    assert EntryRefused(3, "too large").position == 3
    assert DependencyUnavailable("index", "timeout").dependency == "index"
    assert str(DependencyUnavailable("index", "timeout")) == "index unavailable: timeout"
