"""Queries: identifiers, the queryable attributes, and the reference matcher (PS3.4 C.2.2.2, C.4, C.6). Pure."""
