"""Sessions of AWS's client library whose secret key follows its file."""

from __future__ import annotations

from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession, get_session
from botocore.credentials import ReadOnlyCredentials

from gantry.common.config.secret_files import Secret, text_of


class _Followed(AioCredentials):  # type: ignore[misc]  # without types
    """An access key whose secret is looked up for each request."""

    def __init__(self, access_key: str, secret: Secret) -> None:
        super().__init__(access_key, text_of(secret), method=_Provider.METHOD)
        self._secret = secret

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        return ReadOnlyCredentials(self.access_key, text_of(self._secret), None, None)


class _Provider:
    METHOD = CANONICAL_NAME = "gantry"

    def __init__(self, credentials: _Followed) -> None:
        self._credentials = credentials

    async def load(self) -> AioCredentials:
        return self._credentials


def session_of(access_key: str | None, secret: Secret | None) -> AioSession:
    """A session that signs with `access_key`; without one, with the credentials that AWS's tools find."""
    session = get_session()
    if access_key is not None:
        resolver = session.get_component("credential_provider")
        resolver.providers.insert(0, _Provider(_Followed(access_key, secret or "")))
    return session
