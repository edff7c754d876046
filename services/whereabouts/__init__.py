"""Where a study is: what the log, the sealed segments and the index know of it, in plain words; and who called when.

`account` is what is known, `words` says it (both pure); `history`, `search` and `associations` read it through the
ports. Nothing here changes anything, and of a patient nothing is repeated but what was asked for.
"""
