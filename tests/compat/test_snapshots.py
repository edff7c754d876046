"""A snapshot of transactions that an earlier release kept is read by every later one.

`python -m tests.compat.test_snapshots` writes a golden file that is missing; one that is there is never written again.
"""

from __future__ import annotations

from pathlib import Path

from gantry.services.commitment.snapshots import pack, unpack
from gantry.services.commitment.transactions import Snapshot

GOLDEN = Path(__file__).parent / "sealed" / "transactions.v1.snap"
KEPT = Snapshot(
    1_700_000_000_000_000,
    frozenset({bytes.fromhex("0011223344556677"), bytes.fromhex("8899aabbccddeeff")}),
    {bytes.fromhex("ffeeddccbbaa9988"): 1_699_999_999_999_999},
)


def test_the_golden_snapshot_is_read_as_what_was_kept() -> None:
    assert unpack(GOLDEN.read_bytes()) == KEPT


if __name__ == "__main__" and not GOLDEN.exists():
    GOLDEN.write_bytes(pack(KEPT))
