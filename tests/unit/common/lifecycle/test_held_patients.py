"""How a hold names a patient: by a digest that says nothing, is the same each time, and is nobody else's."""

from __future__ import annotations

from gantry.common.ids import is_uid
from gantry.common.lifecycle import held_patient, holder_of, holders, holds_stand, patient_of


def test_the_key_says_nothing_and_is_no_studys() -> None:
    key = held_patient("4711", "HOSPITAL")
    assert "4711" not in key
    assert "HOSPITAL" not in key
    assert not is_uid(holder_of(key))
    assert key == held_patient(" 4711 ", "HOSPITAL ")


def test_other_patients_have_other_keys() -> None:
    pairs = [("1", "A"), ("1", "B"), ("1A", ""), ("1", "")]
    assert len({held_patient(*pair) for pair in pairs}) == len(pairs)


def test_a_hold_without_an_issuer_is_on_every_patient_of_the_id() -> None:
    keys = holders("1", "A")
    assert held_patient("1") in keys
    assert held_patient("1", "A") in keys
    assert held_patient("1", "B") not in keys
    assert holders("1") == [held_patient("1")]
    assert holders(" ") == []


def test_what_holds_are_called_by_says_whose_they_are() -> None:
    key = held_patient("4711", "HOSPITAL")
    assert patient_of(holder_of(key)) == key
    assert patient_of("1.2.840.1") == ""


def test_holds_are_counted_in_words() -> None:
    assert [holds_stand(1), holds_stand(2)] == ["1 hold stands", "2 holds stand"]
