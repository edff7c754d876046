"""`gantry.services.process.door_key`: the file, and both sides of a proof."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gantry.common.access.origin_proofs import SKEW_US
from gantry.common.clock import ManualClock
from gantry.common.errors import ConfigError, OriginRefused
from gantry.common.net.proxy import Origin, decode, encode
from gantry.services.process.door_key import DoorKey, OriginProver, ProvenOrigins

OLD, NEW = "o" * 32, "n" * 32
HERE = ("192.0.2.20", 11113)
PEER = Origin("192.0.2.7", 40000, tls=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_text(f"# made today\n{OLD}\n")
    return file


class Sides:
    """A door and a service with clocks and files of their own."""

    def __init__(self, folder: Path) -> None:
        self.doors, self.services = folder / "doors", folder / "services"
        for file in (self.doors, self.services):
            file.write_text(OLD)
        self.doors_clock, self.services_clock = ManualClock(), ManualClock()
        self.refused: list[tuple[str, str]] = []
        self.prover = OriginProver(DoorKey(self.doors), self.doors_clock)
        self.proven = ProvenOrigins(
            DoorKey(self.services), self.services_clock, lambda *kind: self.refused.append(kind)
        )

    def connects(self) -> str:
        return self.kind_of(self.prover.header(PEER, HERE))

    def kind_of(self, header: bytes, address: tuple[str, int] = HERE) -> str:
        """The kind of a refusal; "" if the header is believed."""
        try:
            self.proven.check_header(header, address)
        except OriginRefused as refused:
            return refused.kind if self.refused[-1] == ("dimse", refused.kind) else "not counted"
        return ""

    def asks(self, target: str = "/dicom-web/studies", proof: str | None = None) -> str:
        proof = self.prover.request("GET", "/dicom-web/studies", "192.0.2.7", HERE) if proof is None else proof
        try:
            self.proven.check_request("GET", target, "192.0.2.7", proof, HERE)
        except OriginRefused as refused:
            return refused.kind if self.refused[-1] == ("http", refused.kind) else "not counted"
        return ""


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    return Sides(tmp_path)


def replace(file: Path, *keys: str) -> None:
    other = file.with_suffix(".new")
    other.write_text("\n".join(keys))
    os.replace(other, file)


def test_the_first_key_signs_and_both_are_accepted(file: Path) -> None:
    file.write_text(f"{NEW}\n\n# until tomorrow\n  {OLD}\n")
    assert DoorKey(file).accepted == (NEW.encode(), OLD.encode())


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", None, "there is no key"),
        ("# nothing\n", None, "there is no key"),
        (f"{OLD}\n{'n' * 31}\n", 2, "32 characters or more"),
        (f"{OLD}\n{NEW}\n{'m' * 32}\n", 3, "2 keys at most"),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_its_line(file: Path, text: str, line: int | None, reason: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        DoorKey(file)
    assert (refused.value.file, refused.value.line) == ("door.key_file", line)
    assert reason in refused.value.reason
    assert not [secret for secret in (OLD, "n" * 31) if secret in str(refused.value)]


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        DoorKey(tmp_path / "missing")


def test_a_changed_file_is_taken_and_a_wrong_one_is_not(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = DoorKey(file)
    replace(file, NEW, OLD)
    assert key.accepted == (NEW.encode(), OLD.encode())
    replace(file, "short-and-secret")
    assert key.accepted == (NEW.encode(), OLD.encode())
    file.unlink()
    assert key.accepted == (NEW.encode(), OLD.encode())
    output = capsys.readouterr()
    assert not any(secret in output.out + output.err for secret in (OLD, NEW, "short-and-secret"))


def test_a_header_of_the_door_is_believed_and_names_the_peer(sides: Sides) -> None:
    header = sides.prover.header(PEER, HERE)
    assert sides.kind_of(header) == ""
    assert decode(header) == PEER


def test_a_header_counts_once(sides: Sides) -> None:
    header = sides.prover.header(PEER, HERE)
    assert [sides.kind_of(header) for _ in range(2)] == ["", "replayed"]


@pytest.mark.parametrize("here", [("192.0.2.21", 11113), ("192.0.2.20", 11114)])
def test_a_header_for_another_process_is_refused(sides: Sides, here: tuple[str, int]) -> None:
    assert sides.kind_of(sides.prover.header(PEER, HERE), here) == "destination"


def test_a_socket_of_both_families_sees_the_same_destination(sides: Sides) -> None:
    assert sides.kind_of(sides.prover.header(PEER, HERE), ("::ffff:192.0.2.20", 11113)) == ""
    assert sides.kind_of(sides.prover.header(Origin("2001:db8::7", 1), HERE)) == ""


def test_a_header_without_proof_or_with_another_peer_is_refused(sides: Sides) -> None:
    assert sides.kind_of(encode(PEER, HERE)) == "missing"
    header = bytearray(sides.prover.header(PEER, HERE))
    header[19] ^= 1  # the last byte of the peer's address
    assert sides.kind_of(bytes(header)) == "forged"


@pytest.mark.parametrize("late", [True, False])
def test_clocks_may_be_apart_by_the_skew(sides: Sides, late: bool) -> None:
    clock = sides.services_clock if late else sides.doors_clock
    clock.advance(SKEW_US / 1e6)
    assert (sides.connects(), sides.asks()) == ("", "")
    clock.advance(1)
    assert (sides.connects(), sides.asks()) == ("time", "time")


def test_a_key_is_replaced_in_three_steps_in_any_order_of_processes(sides: Sides) -> None:
    for keys in ((OLD, NEW), (NEW, OLD), (NEW,)):
        for first, second in ((sides.doors, sides.services), (sides.services, sides.doors)):
            replace(first, *keys)
            assert (sides.connects(), sides.asks()) == ("", "")
            replace(second, *keys)
            assert (sides.connects(), sides.asks()) == ("", "")
    replace(sides.doors, OLD)
    assert (sides.connects(), sides.asks()) == ("forged", "forged")


def test_a_request_is_proven_once_and_for_its_target(sides: Sides) -> None:
    proof = sides.prover.request("GET", "/dicom-web/studies", "192.0.2.7", HERE)
    assert sides.asks("/dicom-web/studies/1.2", proof) == "forged"
    assert [sides.asks(proof=proof) for _ in range(2)] == ["", "replayed"]
    assert sides.asks(proof="") == "missing"
    assert sides.asks(proof="no base64 !") == "forged"
