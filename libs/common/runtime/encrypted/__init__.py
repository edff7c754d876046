"""An object store whose objects lie encrypted: they are sealed when they are written and opened when they are read.

What belongs here: the store (`store`), one object on its way in (`writing`) and out (`reading`), and the data keys of a
store (`keys`). What does not: the form itself (`gantry.common.encryption`), and who wraps data keys
(`gantry.common.ports.keys`).

Nobody who reads or writes notices: `stat`, ranges and digests are those of the object as it came.
"""
