"""Moves studies between object stores, by rules.

What belongs here: which studies move and where to (`planning`), the copy of one object and its verification
(`copying`), the order of effects of a move (`relocating`), the copies that objects leave (`leftovers`), and the passes
over all of it (`tiering`). What does not: which rule decides (`gantry.common.lifecycle.tiers`), and reading objects
from their stores (`gantry.common.runtime.tiered`).

The order of effects: the object is copied into the other store, read again there and compared, its `ObjectsRelocated`
is published, and when the grace time is over both copies are read once more and the old one is removed. After a crash
anywhere, the object exists once or twice, and is found by its key either way.
"""
