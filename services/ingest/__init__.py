"""C-ECHO, C-STORE and STOW-RS: receive, store, publish, answer.

`receiving` streams bytes into the object store, `checks` says what is refused (pure), `commit` has the order of
effects, which both protocols share; `handlers` is C-STORE; `web` is STOW-RS, on `incoming` (files as they arrive) and
`outcomes` (the response; pure); `app` wires.
"""
