"""Queries that span other archives: who is asked, what is taken of their answers, and how these join ours.

`merging` is pure; `asking` asks all archives, and `walking` one of them, as the SCU of Study Root
Query/Retrieve (PS3.4 C.4.1).
"""
