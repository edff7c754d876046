"""An object store with encryption: objects are encrypted when they are written and decrypted when they are read.

What belongs here: the store (`store`), one object on its way in (`writing`) and out (`reading`), and the data keys of a
store (`keys`). What does not: the format itself (`gantry.common.encryption`), and who wraps data keys
(`gantry.common.ports.keys`).

Callers see no difference: `stat`, ranges and digests are those of the original object.
"""
