"""De-identification by the Attribute Confidentiality Profiles of PS3.15 Annex E: the table as data, and what carries it
out on a data set that passes by. Pure: bytes in, bytes out; keys, mappings and files are the caller's."""
