"""Another form of the bytes of an object, which takes less room and from which every byte comes back.

What belongs here: how an object is cut into blocks (`cutting`), how a block is written shorter and read back
(`coding`), and how a packed object is laid out (`form`). What does not: where objects lie, and the processes in which
blocks are coded (`gantry.common.runtime.packed`). Nothing here changes what an object says: samples are coded as
JPEG-LS (ISO 14495-1, lossless) or deflated, and all else that does not become shorter stays as it is.

`coding` imports numpy and the codec: only worker processes import it.
"""
