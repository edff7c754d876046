"""What an acknowledgement means for a route."""

from __future__ import annotations

import pytest

from gantry.common.hl7.answers import Acknowledged
from gantry.services.retrieve.routing.result_verdicts import answers, verdict


@pytest.mark.parametrize("code", ["AA", "CA"])
def test_what_is_accepted_is_delivered(code: str) -> None:
    done = verdict("RIS", Acknowledged(code, "M1", "", ()), "M1", "1.2.3")
    assert (done.is_done, done.taken, done.why) == (True, ("1.2.3",), "")


@pytest.mark.parametrize("code", ["AE", "AR", "CE", "CR"])
@pytest.mark.parametrize(
    ("text", "problems", "words"),
    [
        pytest.param("", (), "", id="nothing"),
        pytest.param("no such order", (), ": no such order", id="MSA-3"),
        pytest.param("bad", ("OBR-2: unknown (204)", "b", "c", "d"), ": OBR-2: unknown (204); b; c", id="ERR"),
    ],
)
def test_what_is_refused_says_why_and_is_not_tried_for_ever(
    code: str, text: str, problems: tuple[str, ...], words: str
) -> None:
    done = verdict("RIS", Acknowledged(code, "M1", text, problems), "M1", "1.2.3")
    assert (done.is_done, done.refused, done.failed) == (False, True, ("1.2.3",))
    assert done.why == f"RIS answered {code}{words}"


def test_accepting_without_saying_what_is_not_delivered() -> None:
    done = verdict("RIS", Acknowledged("AA", "", "", ()), "M1", "1.2.3")
    assert (done.is_done, done.refused, done.why) == (False, True, "RIS answered AA without saying to what (MSA-2)")


def test_what_is_no_acknowledgement_is_trouble_of_the_receiver() -> None:
    done = verdict("RIS", Acknowledged("", "", "the answer has no MSA segment", ()), "M1", "1.2.3")
    assert (done.is_done, done.refused) == (False, False)


def test_what_is_about_another_message_is_no_answer() -> None:
    assert answers(Acknowledged("AA", "M1", "", ()), "M1")
    assert answers(Acknowledged("AR", "", "", ()), "M1")
    assert not answers(Acknowledged("AA", "M0", "", ()), "M1")


def test_what_a_receiver_says_becomes_one_short_line() -> None:
    done = verdict("RIS", Acknowledged("AE", "M1", "no\norder\t" + "x" * 5000, ()), "M1", "1.2.3")
    assert done.why.startswith("RIS answered AE: no order xxx")
    assert len(done.why) < 200
