"""C-GET and C-MOVE (PS3.4 C.4.2, C.4.3): which objects, in which contexts, sent with sub-operations and counted."""
