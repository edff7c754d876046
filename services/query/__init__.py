"""C-FIND: read the identifier, ask the index, answer page by page.

`answers` makes response identifiers (pure), `handlers` serves the requests, `app` wires.
"""
