"""An object store whose objects take less room: they are packed when they are written and unpacked when they are read.

What belongs here: the store (`store`), one object on its way in (`writing`) and out (`reading`), the tables of packed
objects (`tables`), and the processes in which blocks are coded (`workers`, `worker`). What does not: the form itself
(`gantry.common.dicom.packing`), and which objects come here (`gantry.common.lifecycle.tiers`).

Nobody who reads or writes notices: `stat`, ranges and digests are those of the object as it came.
"""
