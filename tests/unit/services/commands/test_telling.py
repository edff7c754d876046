"""Which consumer groups a restore lets begin behind what it appended: those that the settings ask for, with the topics
that they read."""

from __future__ import annotations

from gantry.common.config.settings import Settings
from gantry.services.commands.telling import telling_groups

ALL = {
    "routing": {
        "rules": [{"name": "a", "to": ["READING"]}],
        "steps": [{"name": "b", "to": ["RIS"]}],
        "prefetch": [{"name": "c", "modalities": ["CT"], "ask": ["OLD"]}],
        "workitems": True,
        "receivers": [{"name": "EHR", "host": "192.0.2.5", "port": 2575, "patients": True}],
    },
    "webhooks": [{"name": "ris", "url": "https://ris.example/", "secret_file": "/secret"}],
    "subscriptions": {"endpoints": ["https://ehr.example/"], "key_file": "/key"},
    "http": {"url": "https://archive.example"},
}


def test_none_that_nobody_is_a_member_of() -> None:
    """The log would wait for it for ever."""
    assert telling_groups(Settings(completion={"quiet": 0})) == {}
    assert set(telling_groups(Settings())) == {"completion"}


def test_everybody_who_tells_others_is_there() -> None:
    groups = telling_groups(Settings(**ALL))
    assert set(groups) == {
        *("completion", "routing", "step-routing", "prefetch-routing", "workitem-events", "subscriptions"),
        "patient-routing",
        "webhook-ris",
    }
    assert groups["routing"] == ("instances",)
    assert set(groups["webhook-ris"]) > {"instances", "orders", "workitems"}
