"""C-ECHO, C-STORE and STOW-RS: receive, store, publish, answer.

`object_sink` streams bytes into the object store, `checks` decides what is refused (pure), `commit` has the order of
effects, which both protocols share; `c_store` is C-STORE, `stow` is STOW-RS; `app` wires.
"""
