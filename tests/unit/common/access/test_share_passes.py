"""Visitors with a link, and what they see."""

from __future__ import annotations

from gantry.common.access import Means
from gantry.common.access.share_passes import SharePass, of_pass, pass_of, sight_of_share, visitor
from gantry.common.dicom.query.matching import UidList
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID


def test_visitor_sees_the_studies_of_the_link_and_has_a_name_that_no_token_has() -> None:
    assert sight_of_share(("1.2", "1.3")).alternatives == ({STUDY_INSTANCE_UID: UidList(("1.2", "1.3"))},)
    assert (sight_of_share(()).copies, sight_of_share((), "s1").copies) == ("", "s1")
    assert (visitor("s1").name, visitor("s1").means, visitor("s1").roles) == ("share link s1", Means.SHARE, frozenset())


def test_pass_is_read_back_as_it_was_written() -> None:
    share_pass = SharePass("s1", "o1", 5.0)
    assert pass_of(of_pass(share_pass)) == share_pass
    for content in ({}, {"share": "s1"}, {"share": "s", "opening": "o", "until": "never"}):
        assert pass_of(content) is None
