"""Studies move between object stores, after rules.

What belongs here: which studies move and where to (`planning`), the copy of one object and the proof that it is whole
(`copying`), the order of effects of a move (`relocating`), the copies that objects leave (`leftovers`), and the passes
of all that (`tiering`). What does not: which rule decides (`gantry.common.lifecycle.tiers`), and how objects are read
where they are (`gantry.common.runtime.tiered`).

The order of effects: the object is copied into the other store, read again there and compared, its `ObjectsRelocated`
is published, and when the grace time is over both copies are read once more and the one that it leaves is removed. A
crash anywhere leaves an object that is there once or twice, and is found by its key either way.
"""
