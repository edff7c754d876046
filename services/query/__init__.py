"""C-FIND: what is asked becomes a query, what is found becomes answers.

`answers` makes identifiers of documents (pure), `handlers` streams them to the peer, `app` wires.
"""
