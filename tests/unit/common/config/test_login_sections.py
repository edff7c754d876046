"""`gantry.common.config.login_sections`: a login is set up whole, or not at all."""

import pytest
from pydantic import ValidationError

from gantry.common.config.login_sections import LoginSettings

WHOLE = {"issuer": "sso", "client_id": "gantry", "session_key_file": "keys"}


def test_without_an_issuer_there_is_no_login() -> None:
    assert LoginSettings().issuer == ""
    assert LoginSettings.model_validate(WHOLE).idle == 1800.0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"client_id": ""}, "client_id"),
        ({"session_key_file": None}, "session_key_file"),
        ({"scopes": ["profile"]}, "openid"),
        ({"scopes": ["openid", 'a"b']}, "scopes"),
        ({"idle": 0}, "idle"),
        ({"claims_from": "userinfo"}, "claims_from"),
    ],
)
def test_what_is_missing_is_named(changed: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        LoginSettings.model_validate(WHOLE | changed)
