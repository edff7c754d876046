"""Where objects may go as they are."""

from __future__ import annotations

import pytest

from gantry.common.errors import DependencyUnavailable
from gantry.common.net import Peer
from gantry.services.retrieve.deidentifying.destinations import IdentifiedDestinations


class Policy:
    """Two destinations."""

    def __init__(self, whole: bool = True) -> None:
        self._whole = whole

    def are_whole(self) -> bool:
        return self._whole

    def destinations(self) -> list[str]:
        return ["READING", "TRIAL"]

    def destination(self, ae_title: str, ours: str) -> Peer | None:
        return Peer("192.0.2.1", 104, ae_title, ours) if ae_title in self.destinations() else None


def test_what_gets_de_identified_objects_is_no_destination_of_others() -> None:
    identified = IdentifiedDestinations(Policy(), frozenset(["TRIAL"]))  # type: ignore[arg-type]  # as far as it is asked
    assert identified.destinations() == ["READING"]
    assert identified.destination("TRIAL", "GANTRY") is None
    assert identified.destination("NOBODY", "GANTRY") is None
    found = identified.destination("READING", "GANTRY")
    assert found is not None
    assert (found.called_ae_title, found.calling_ae_title) == ("READING", "GANTRY")


def test_a_destination_that_may_be_a_peer_not_read_yet_is_unavailable_and_not_unknown() -> None:
    identified = IdentifiedDestinations(Policy(whole=False), frozenset(["TRIAL"]))  # type: ignore[arg-type]  # as far as it is asked
    with pytest.raises(DependencyUnavailable):
        identified.destination("NOBODY", "GANTRY")
    assert identified.destination("READING", "GANTRY") is not None
    assert identified.destination("TRIAL", "GANTRY") is None
