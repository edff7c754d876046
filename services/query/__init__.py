"""C-FIND: identifiers become queries, matches become answers.

`answers` makes identifiers from documents (pure), `c_find` streams them to the peer, `qido` is the same search over
HTTP, `change_stream` publishes changes of studies, `viewer` is the page; `app` wires.
"""
