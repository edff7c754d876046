"""`gantry.services.operations.peer_rules`: what an entry may not say beside the other settings."""

from __future__ import annotations

import pytest

from gantry.common.config.peer_entries import peer_from
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError, Conflicting
from gantry.services.operations.peer_rules import peer_rules

SETTINGS = Settings.model_validate(
    {
        "lifecycle": {"views": ["quality=113001"]},
        "routing": {
            "servers": [{"name": "CLOUD", "url": "https://cloud.example/dicom-web"}],
            "receivers": [{"name": "RIS", "host": "ris.example", "port": 2575}],
        },
    }
)


def test_a_view_must_be_one_of_the_settings() -> None:
    rules = peer_rules(SETTINGS)
    rules.require(peer_from({"ae_title": "CT9", "host": "192.0.2.9", "view": "quality"}))
    rules.require(peer_from({"ae_title": "CT9", "host": "192.0.2.9"}))
    with pytest.raises(ConfigError, match="view: is none of"):
        rules.require(peer_from({"ae_title": "CT9", "host": "192.0.2.9", "view": "other"}))


@pytest.mark.parametrize("name", ["CLOUD", "RIS"])
def test_a_name_of_another_destination_is_no_title_of_a_peer(name: str) -> None:
    with pytest.raises(Conflicting, match=name):
        peer_rules(SETTINGS).require(peer_from({"ae_title": name, "host": "192.0.2.9"}))
