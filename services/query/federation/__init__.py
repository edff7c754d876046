"""Queries that span other archives: which are asked, what is accepted of their answers, and how these are joined with
ours.

`merging` is pure; `asking` asks all archives, and `walking` one of them, as the SCU of Study Root
Query/Retrieve (PS3.4 C.4.1).
"""
