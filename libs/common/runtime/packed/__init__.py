"""An object store whose objects take less room: they are compressed when they are written and decompressed when they
are read.

What belongs here: the store (`store`), writing (`writing`) and reading (`reading`) one object, the tables of packed
objects (`tables`), and the processes in which blocks are coded (`workers`, `worker`). What does not: the format itself
(`gantry.common.dicom.packing`), and which objects are stored here (`gantry.common.lifecycle.tiers`).

Callers see no difference: `stat`, ranges and digests are those of the original object.
"""
