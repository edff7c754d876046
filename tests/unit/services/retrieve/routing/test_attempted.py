"""When nothing is left to be tried."""

from __future__ import annotations

import pytest

from gantry.services.retrieve.routing.attempted import Attempted


@pytest.mark.parametrize(
    ("failed", "is_done"),
    [
        pytest.param((), True, id="nothing failed"),
        pytest.param(("1.2",), False, id="one was not taken"),
        pytest.param(None, False, id="nothing was tried"),
    ],
)
def test_an_attempt_is_done_where_it_was_tried_and_nothing_failed(
    failed: tuple[str, ...] | None, is_done: bool
) -> None:
    assert Attempted((), failed, "").is_done is is_done
