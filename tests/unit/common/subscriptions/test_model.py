"""The sealed content of a subscription on the log."""

import json

import pytest

from gantry.common.access import CallerRole, Facts, Identity, Means
from gantry.common.errors import NotUnderstood
from gantry.common.subscriptions.model import Content, SubscriptionRequest, opened, owner_of, sealed_content

WANTED = SubscriptionRequest(
    "https://ehr.example/in", Content.FULL, ("ImagingStudy?modality=CT",), ("Authorization: x",), 60, 5, 10, "why"
)
WHO = Identity(
    "s1",
    "sso:s1",
    Means.ISSUER,
    frozenset((CallerRole.PATIENT, CallerRole.REFERRER)),
    Facts(("House^Greg",), ("17",), (("4711", "NORTH"), ("12", "")), ("North",), ("ICU",), "https://ehr.example/P/1"),
    "sso",
)


def test_what_was_sealed_is_what_is_opened() -> None:
    assert opened(json.loads(json.dumps(sealed_content(WANTED, WHO)))) == (WANTED, WHO)


@pytest.mark.parametrize("change", [{"content": "all"}, {"means": "stars"}, {"facts": None}, {"roles": ["king"]}])
def test_what_another_release_wrote_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(NotUnderstood):
        opened({**sealed_content(WANTED, WHO), **change})


def test_owner_is_the_same_for_somebody_and_another_one_for_everybody_else() -> None:
    same = Identity("s1", "sso:another name", Means.ISSUER, frozenset(), Facts(), "sso")
    assert owner_of(WHO) == owner_of(same)
    others = (
        Identity("s2", "", Means.ISSUER, issuer="sso"),
        Identity("s1", "", Means.TOKEN, issuer="sso"),
        Identity("s1", "", Means.ISSUER, issuer="other"),
    )
    assert len({owner_of(caller) for caller in (WHO, *others)}) == 4


def test_headers_are_in_no_text_of_it() -> None:
    assert "Authorization" not in repr(WANTED)
