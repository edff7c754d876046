"""The content of a subscription is sealed on the log."""

from pathlib import Path

import pytest

from gantry.common.access import Facts, Identity, Means
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError, NotUnderstood
from gantry.common.runtime.subscription_seal import LONGEST, SubscriptionSeal
from gantry.common.subscriptions.model import Content, SubscriptionRequest

WANTED = SubscriptionRequest("https://ehr.example/in", Content.EMPTY, headers=("Authorization: s3cret",))
WHO = Identity("ehr", "ehr", Means.TOKEN, facts=Facts(patients=(("4711", "NORTH"),)))
FIRST, SECOND = ("a secret of thirty-two characters, the first", "a secret of thirty-two characters, the second")


def sealed_by(folder: Path, *secrets: str, url: str = "https://archive.example") -> SubscriptionSeal:
    (folder / "key").write_text("\n".join(secrets))
    section = {"endpoints": ["https://ehr.example/"], "key_file": folder / "key"}
    return SubscriptionSeal(Settings.model_validate({"subscriptions": section, "http": {"url": url}}))


def test_what_is_sealed_says_nothing_and_is_opened_again(tmp_path: Path) -> None:
    seal = sealed_by(tmp_path, FIRST)
    sealed = seal.seal(WANTED, WHO)
    assert not any(word in sealed for word in ("s3cret", "4711", "ehr.example"))
    assert seal.open(sealed) == (WANTED, WHO)


def test_each_secret_opens_and_others_and_other_archives_do_not(tmp_path: Path) -> None:
    sealed = sealed_by(tmp_path, FIRST).seal(WANTED, WHO)
    assert sealed_by(tmp_path, SECOND, FIRST).open(sealed) == (WANTED, WHO)
    for other in (sealed_by(tmp_path, SECOND), sealed_by(tmp_path, FIRST, url="https://other.example")):
        with pytest.raises(NotUnderstood, match=r"subscriptions\.key_file"):
            other.open(sealed)


def test_what_is_too_long_is_refused(tmp_path: Path) -> None:
    everybody = Identity("ehr", "ehr", Means.TOKEN, facts=Facts(patients=(("4" * LONGEST, ""),)))
    with pytest.raises(NotUnderstood, match="too long"):
        sealed_by(tmp_path, FIRST).seal(WANTED, everybody)


@pytest.mark.parametrize("text", ["", "short", "# nothing"])
def test_file_without_a_secret_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        sealed_by(tmp_path, text)
