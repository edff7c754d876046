"""Coercions are read from the objects themselves, and a damaged object does not delay the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gantry.common.adapters.files import open_file_store
from gantry.common.dicom.encoding.part10 import file_meta
from gantry.common.lifecycle import Coercion
from gantry.common.runtime.coercion import with_coercion
from tests.support.facts import stored

COERCION = Coercion(5, ("one",), {"00100021": {"vr": "LO", "Value": ["NORTH"]}})


async def test_objects_that_are_missing_or_cut_short_have_nothing_coerced_and_the_others_do(tmp_path: Path) -> None:
    objects = await open_file_store(tmp_path, low_water=0)
    meta = file_meta("1.2", "1.3", "1.2.840.10008.1.2.1", private=COERCION.pack())
    whole, short, missing = (replace(stored(n), data_set_offset=len(meta), coercion=None) for n in (1, 2, 3))
    await objects.put(whole.object_key, [meta, bytes(100)])
    await objects.put(short.object_key, [meta[:150]])
    try:
        events = await with_coercion(objects, [whole, short, missing, stored(4)])
    finally:
        await objects.close()
    assert [event.coercion for event in events] == [COERCION.pack() + b"\0" * (len(COERCION.pack()) % 2), b"", b"", b""]
