"""`gantry.common.access.verbs`: the words of the settings are those of the table."""

from gantry.common.access import DEFAULT_VERBS, FORMER_VERBS, CallerRole, Verb
from gantry.common.config import access_sections


def test_every_role_has_a_row_and_the_settings_know_its_words() -> None:
    assert set(DEFAULT_VERBS) == set(CallerRole)
    assert set(access_sections._ROLES.split("|")) == {role.value for role in CallerRole}
    assert set(access_sections._VERBS.split("|")) == {verb.value for verb in Verb}


def test_patients_and_referrers_read_and_nothing_else() -> None:
    assert DEFAULT_VERBS[CallerRole.PATIENT] == DEFAULT_VERBS[CallerRole.REFERRER] == {Verb.READ}
    assert Verb.DELETE not in FORMER_VERBS
