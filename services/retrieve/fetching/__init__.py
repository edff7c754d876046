"""Retrieval that fetches through: a study that only another archive has comes here first, by C-MOVE to ourselves.

`holders` is pure; `sending` is the SCU of Study Root Query/Retrieve (PS3.4 C.4.1, C.4.2); `record` says in the object
store what is not here whole; `through` does a fetch once for all who wait, and `web` waits for HTTP.
"""
