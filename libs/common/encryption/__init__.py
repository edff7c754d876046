"""How an object lies encrypted. Pure.

What belongs here: the form of an encrypted object (`form`), its segments (`segments`), the data keys that objects are
encrypted with and how they lie wrapped beside them (`data_keys`). What does not: who wraps them
(`gantry.common.ports.keys`), and the store that encrypts and decrypts (`gantry.common.runtime.encrypted`).
"""
