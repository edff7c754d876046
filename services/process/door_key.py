"""The key of `door.key_file`, by which the door proves the peer's address to the services.

The file has one key a line, at most two: the first signs, both are accepted. # begins a comment. A key is replaced in
three steps, so that door and services always agree: first the new key is the second line everywhere, then the first,
then the only one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from secrets import token_bytes

from gantry.common.access.origin_proofs import (
    NONCE_LENGTH,
    Claim,
    OriginJudge,
    prove,
    request_claim,
)
from gantry.common.clock import Clock
from gantry.common.config.watched import WatchedFiles
from gantry.common.errors import ConfigError, OriginRefused
from gantry.common.net.proxy import Origin, claim_and_proof, destination_of, encode, same_address
from gantry.common.telemetry.logs import get_logger
from gantry.common.web.origins import normal_address, proof_of_text, text_of_proof

_SHORTEST, _MOST = 32, 2
_WHERE = "door.key_file"


class DoorKey:
    """The keys in force. The file is read again when it changes; an invalid file is refused, and the keys in force
    stay. Keys are never logged."""

    def __init__(self, file: Path) -> None:
        """Raises `ConfigError`."""
        self._file = file
        self._watched = WatchedFiles([file])
        self._logger = get_logger("door")
        self._keys = _read(file)

    @property
    def accepted(self) -> tuple[bytes, ...]:
        """All keys, the one that signs first."""
        if self._watched.have_changed():
            try:
                self._keys = _read(self._file)
                self._logger.info("door keys taken", keys=len(self._keys))
            except ConfigError as error:
                line, why = error.line, error.reason
                self._logger.error("new door keys refused; the old ones stay in force", line=line, why=why)
        return self._keys


class OriginProver:
    """Makes proofs, for the door."""

    def __init__(self, key: DoorKey, clock: Clock) -> None:
        self._key = key
        self._clock = clock

    def header(self, origin: Origin, destination: tuple[str, int]) -> bytes:
        """The proven PROXY header of a connection. Raises `ValueError` for an invalid address."""
        return encode(origin, destination, lambda claim: self._prove(Claim.CONNECTION, claim))

    def request(self, method: str, target: str, forwarded: str, destination: tuple[str, int]) -> str:
        """The value of `gantry.common.web.origins.PROOF` for a request."""
        claim = request_claim(method, target, forwarded, normal_address(destination))
        return text_of_proof(self._prove(Claim.REQUEST, claim))

    def _prove(self, kind: Claim, claim: bytes) -> bytes:
        return prove(self._key.accepted[0], kind, claim, self._clock.now_us(), token_bytes(NONCE_LENGTH))


class ProvenOrigins:
    """Checks proofs, for a service: `net.acceptor` and `web.access` call it before they trust an address."""

    def __init__(self, key: DoorKey, clock: Clock, refused: Callable[[str, str], None], port: str = "dimse") -> None:
        """`refused` is called with the protocol and the kind of a refusal: `http`, or for connections `port`."""
        self._key = key
        self._clock = clock
        self._judge = OriginJudge()
        self._refused = refused
        self._port = port

    def check_header(self, header: bytes, endpoint: tuple[str, int]) -> None:
        """Check a PROXY header that names a peer, on a connection to `endpoint`. Raises `OriginRefused`."""
        claim, proof = claim_and_proof(header)
        try:
            self._judge.judge(self._key.accepted, Claim.CONNECTION, claim, proof, self._clock.now_us())
            address, port = destination_of(header)
            # Each process records only its own nonces: it must not accept a header for another process.
            if port != endpoint[1] or not same_address(address, endpoint[0]):
                raise OriginRefused("destination", f"the proof is for port {port} of {address}, not for this one")
        except OriginRefused as refused:
            self._refused(self._port, refused.kind)
            raise

    def check_request(self, method: str, target: str, forwarded: str, proof: str, endpoint: tuple[str, int]) -> None:
        """Check a request that names its client in X-Forwarded-For. Raises `OriginRefused`."""
        claim = request_claim(method, target, forwarded, normal_address(endpoint))
        try:
            keys, now_us = self._key.accepted, self._clock.now_us()
            self._judge.judge(keys, Claim.REQUEST, claim, proof_of_text(proof), now_us)
        except OriginRefused as refused:
            self._refused("http", refused.kind)
            raise


def _read(file: Path) -> tuple[bytes, ...]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise ConfigError(_WHERE, None, f"{file} cannot be read") from error
    keys: list[bytes] = []
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        if len(line) < _SHORTEST:
            raise ConfigError(_WHERE, number, f"a key has {_SHORTEST} characters or more (openssl rand -hex 32)")
        if len(keys) == _MOST:
            raise ConfigError(_WHERE, number, f"{_MOST} keys at most: the one in force and its successor")
        keys.append(line.encode())
    if not keys:
        raise ConfigError(_WHERE, None, f"there is no key in {file}")
    return tuple(keys)
