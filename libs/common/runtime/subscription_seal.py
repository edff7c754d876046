"""The content of a subscription is encrypted on the log: endpoint, headers, filters, and its subscriber."""

from __future__ import annotations

from gantry.common.access import Identity
from gantry.common.access.sealing import Seal, secrets_of
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError, NotUnderstood
from gantry.common.subscriptions.model import SubscriptionRequest, opened, sealed_content

_USE = "subscription"
LONGEST = 48 << 10
"""Characters."""


class SubscriptionSeal:
    """Encrypts with the first secret of `subscriptions.key_file`, and decrypts with any of them."""

    def __init__(self, settings: Settings) -> None:
        """Raises `ConfigError`."""
        file, url = settings.subscriptions.key_file, settings.http.url
        assert file is not None
        assert url is not None
        try:
            secrets = secrets_of(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeError) as error:
            raise ConfigError("subscriptions.key_file", None, f"{file} cannot be read") from error
        except NotUnderstood as error:
            raise ConfigError("subscriptions.key_file", None, str(error)) from error
        self._seal = Seal(secrets, _USE, url, longest=LONGEST)

    def seal(self, wanted: SubscriptionRequest, identity: Identity) -> str:
        """Encrypt both, for the log. Raises `NotUnderstood` if that is too long."""
        try:
            return self._seal.seal(sealed_content(wanted, identity))
        except NotUnderstood:
            raise NotUnderstood("the subscription is too long") from None

    def open(self, sealed: str) -> tuple[SubscriptionRequest, Identity]:
        """Decrypt both. Raises `NotUnderstood` if no secret fits."""
        content = self._seal.open(sealed)
        if content is None:
            raise NotUnderstood("it was sealed by a secret that is not in subscriptions.key_file any more")
        return opened(content)
