"""Every release of FHIR has its form, and reads what another one says as none of its own."""

from __future__ import annotations

import pytest

from gantry.common.errors import NotUnderstood
from gantry.common.subscriptions.forms import FORMS
from gantry.common.subscriptions.model import Release
from tests.support.subscriber import subscription, subscription_r5

TOPIC, ENDPOINT = "https://a.example/topic", "https://ehr.example/told"
ASKED = {Release.R4: subscription(TOPIC, ENDPOINT), Release.R5: subscription_r5(TOPIC, ENDPOINT)}


@pytest.mark.parametrize("release", Release)
def test_form_reads_its_own_release_alone(release: Release) -> None:
    for other, content in ASKED.items():
        if other is release:
            assert FORMS[release].asked(content, TOPIC, [ENDPOINT]).wanted.release is release
        else:
            with pytest.raises(NotUnderstood):
                FORMS[release].asked(content, TOPIC, [ENDPOINT])
