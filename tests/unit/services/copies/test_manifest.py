"""The list of copies of a link."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gantry.common.errors import Corrupt
from gantry.common.events import InstanceStored
from gantry.common.ids import require_object_key
from gantry.services.copies.manifest import Copy, copy_key, folder_of, manifest_key, pack, receipt_of, unpack
from tests.compat.events import EVENTS

STORED = EVENTS["InstanceStored.v1"]
assert isinstance(STORED, InstanceStored)
COPIES = [Copy("objects/default/1.dcm", STORED), Copy("objects/default/2.dcm", replace(STORED, trace=""))]


def test_what_is_packed_is_unpacked_the_same() -> None:
    assert unpack(pack(COPIES)) == COPIES
    assert unpack(pack([])) == []


@pytest.mark.parametrize("place", [0, 20, -1])
def test_bytes_that_changed_are_refused(place: int) -> None:
    content = bytearray(pack(COPIES))
    content[place] ^= 1
    with pytest.raises(Corrupt):
        unpack(bytes(content))


def test_a_copy_has_the_same_key_when_it_is_made_again_and_lies_with_its_link() -> None:
    first, again = receipt_of("ab12", 1, 1_700_000_000_000_000), receipt_of("ab12", 1, 1_700_000_000_000_000)
    assert first == again
    assert len({receipt_of(share, number, 5).id for share in ("ab12", "ab13") for number in range(50)}) == 100
    assert first.milliseconds == 1_700_000_000_000
    for key in (copy_key("ab12", first), manifest_key("ab12")):
        assert key.startswith(folder_of("ab12"))
        require_object_key(key)
