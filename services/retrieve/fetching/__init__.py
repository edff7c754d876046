"""Fetching through: a study that only another archive has is first fetched here, by C-MOVE to ourselves.

`holders` is pure; `sending` is the SCU of Study Root Query/Retrieve (PS3.4 C.4.1, C.4.2); `record` notes in the object
store which studies are incomplete here; `through` runs one fetch for all that wait, and `web` waits for HTTP.
"""
