"""Subscribers, and what the present settings allow them to receive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gantry.common.access import EVERYTHING, CallerRole, Facts, Identity, Means, Sight
from gantry.common.access.sight import ORDINARY
from gantry.common.config.settings import Settings
from gantry.common.dicom.query.matching import Single
from gantry.common.dicom.standard.tags import REFERRING_PHYSICIAN_NAME
from gantry.common.errors import NotUnderstood
from gantry.common.runtime.subscription_seal import SubscriptionSeal
from gantry.services.webhooks.subscribers import Subscribers

EHR = Identity("ehr", "ehr", Means.TOKEN, frozenset((CallerRole.SERVICE,)))
ISSUER = {"name": "sso", "url": "https://sso.example", "audience": ["gantry"]}
DOCTOR = Identity("d", "sso:d", Means.ISSUER, frozenset((CallerRole.REFERRER,)), Facts(("House^Greg",)), "sso")


def subscribers(folder: Path, tokens: str = "", **access: Any) -> Subscribers:
    (folder / "key").write_text("a secret of thirty-two characters or more")
    (folder / "tokens").write_text(tokens)
    section = {"endpoints": ["https://ehr.example/"], "key_file": folder / "key"}
    http = {"url": "https://a.example", "tokens_file": folder / "tokens", "may_subscribe": ["ris", "loopback"]}
    settings = Settings.model_validate({"subscriptions": section, "http": http, "access": access})
    return Subscribers(settings, SubscriptionSeal(settings))


def test_token_has_the_roles_of_now(tmp_path: Path) -> None:
    assert subscribers(tmp_path, "ehr:0123456789abcdef roles=service").sight(EHR) == EVERYTHING
    ordinary = subscribers(tmp_path, "ehr:0123456789abcdef roles=service", confidential=["radiologist"])
    assert ordinary.sight(EHR) == Sight((ORDINARY,))
    with pytest.raises(NotUnderstood, match="may not subscribe"):
        subscribers(tmp_path, "ehr:0123456789abcdef roles=radiologist").sight(EHR)
    with pytest.raises(NotUnderstood, match="not known"):
        subscribers(tmp_path, "other:0123456789abcdef roles=service").sight(EHR)


def test_names_of_the_settings_may_subscribe_and_those_of_an_issuer_may_not_by_name(tmp_path: Path) -> None:
    known = subscribers(tmp_path, "ris:0123456789abcdef", issuers=[ISSUER])
    assert known.sight(Identity("ris", "ris", Means.TOKEN)) == EVERYTHING
    assert known.sight(Identity("loopback", "", Means.MACHINE)) == EVERYTHING
    with pytest.raises(NotUnderstood):
        known.sight(Identity("x", "ris", Means.ISSUER, issuer="sso"))


def test_somebody_of_an_issuer_sees_by_the_facts_that_it_told(tmp_path: Path) -> None:
    rules = {"issuers": [ISSUER], "roles": ["referrer=read,subscribe"]}
    seen = subscribers(tmp_path, **rules).sight(DOCTOR)
    assert seen == Sight(({REFERRING_PHYSICIAN_NAME: Single(("House^Greg",))},))
    with pytest.raises(NotUnderstood, match="may not subscribe"):
        subscribers(tmp_path, issuers=[ISSUER]).sight(DOCTOR)
    with pytest.raises(NotUnderstood, match="not known"):
        subscribers(tmp_path, roles=["referrer=read,subscribe"]).sight(DOCTOR)


@pytest.mark.parametrize("means", [Means.SHARE, Means.USER, Means.NONE])
def test_nobody_else_is_told(tmp_path: Path, means: Means) -> None:
    with pytest.raises(NotUnderstood, match="not known"):
        subscribers(tmp_path, "ehr:0123456789abcdef roles=service").sight(Identity("ehr", "ehr", means))
