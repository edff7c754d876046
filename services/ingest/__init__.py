"""C-ECHO and C-STORE: receive, store, publish, answer.

`receiving` streams bytes into the object store, `checks` says what is refused (pure), `handlers` has the order of
effects, `app` wires.
"""
