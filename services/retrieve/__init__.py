"""C-GET and C-MOVE: locate, open, send, count.

`reading` and `sources` read and verify objects, `opening` and `recoding` convert them to another transfer syntax,
`unindexed` finds objects that are not indexed yet, `dimse` serves C-GET and C-MOVE, `dicomweb` serves WADO-RS, `pixels`
decodes and renders, `app` wires.
"""
