"""C-FIND: what is asked becomes a query, what is found becomes answers.

`answers` makes identifiers from documents (pure), `c_find` streams them to the peer, `qido` is the same search over
HTTP, `change_stream` publishes changes of studies, `viewer` is the page; `app` wires.
"""
