"""A smaller form of the bytes of an object, from which every byte can be restored.

What belongs here: how an object is cut into blocks (`cutting`), how a block is compressed and restored (`coding`), and
the format of a packed object (`form`). What does not: where objects lie, and the processes in which blocks are coded
(`gantry.common.runtime.packed`). Nothing here changes an object: samples are coded as JPEG-LS (ISO 14495-1, lossless)
or deflated, and blocks that do not become shorter stay as they are.

`coding` imports numpy and the codec: only worker processes import it.
"""
