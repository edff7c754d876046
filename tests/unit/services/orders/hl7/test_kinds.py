"""Labels of metrics."""

from __future__ import annotations

from gantry.services.orders.hl7.kinds import KINDS, OTHER, kind_label


def test_whatever_is_sent_has_one_of_a_closed_set_of_labels() -> None:
    assert kind_label("ORM^O01") == "ORM^O01"
    assert kind_label("ADT^A47") == "ADT^A47"
    assert kind_label("SIU^S15") == "SIU^S15"
    assert kind_label("ZZZ^Z01") == kind_label("") == OTHER
    assert len(KINDS) < 40
