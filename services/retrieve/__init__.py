"""C-GET and C-MOVE: locate, open, send, count.

`plan` chooses presentation contexts (pure), `conversion` makes another transfer syntax of an object (in worker
processes), `ahead` opens objects before their turn, `suboperations` runs C-STORE sub-operations and counts them,
`handlers` serves the requests, `app` wires.
"""
