"""What would be done, in words."""

from __future__ import annotations

import pytest

from gantry.common.hl7.actions import Action, ChangePatientId, CorrectPatient, MergePatients, Nothing, in_words
from gantry.common.lifecycle.identity import PatientIdentity
from gantry.common.orders import OrderCancellation, OrderChange, PlacedOrder

ONE, TWO = PatientIdentity("1", "HOSP"), PatientIdentity("2")


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (PlacedOrder("A1", {}, "x"), "place order A1"),
        (OrderChange("A1", {1: None}, "x", {"S1": {}}), "change order A1: 1 attributes, steps S1"),
        (OrderCancellation("A1", "x"), "cancel order A1"),
        (OrderCancellation("A1", "x", ("S1", "S2")), "cancel order A1, steps S1, S2"),
        (CorrectPatient(ONE, {}), "correct patient 1 (issuer HOSP): 0 attributes"),
        (MergePatients(ONE, TWO, {}), "merge patient 1 (issuer HOSP) into 2"),
        (ChangePatientId(TWO, ONE, {}), "change the Patient ID 2 into 1 (issuer HOSP)"),
        (Nothing("no reason"), "acknowledge it, and change nothing: no reason"),
    ],
)
def test_every_action_has_its_words(action: Action, words: str) -> None:
    assert in_words(action) == words
