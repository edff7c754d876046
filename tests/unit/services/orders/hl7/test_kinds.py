"""What metrics and log lines say of a kind."""

from __future__ import annotations

from gantry.services.orders.hl7.kinds import KINDS, OTHER, kind_label, kind_logged


def test_whatever_is_sent_has_one_of_a_closed_set_of_labels() -> None:
    assert kind_label("ORM^O01") == "ORM^O01"
    assert kind_label("ADT^A47") == "ADT^A47"
    assert kind_label("SIU^S15") == "SIU^S15"
    assert kind_label("ZZZ^Z01") == kind_label("") == OTHER
    assert len(KINDS) < 40


def test_what_is_no_kind_of_message_is_not_logged_as_one() -> None:
    assert [kind_logged(kind) for kind in ("ADT^A08", "ORU^R30", "ACK", "")] == ["ADT^A08", "ORU^R30", "ACK", ""]
    assert {kind_logged(kind) for kind in ("Doe^Jane", "4711^^^HOSP", "19700131", "ORM^O01\n")} == {OTHER}
