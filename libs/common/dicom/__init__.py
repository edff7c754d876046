"""DICOM data as values and bytes; pure functions, no I/O.

It has Part 10 framing (PS3.10 7), the streaming header scan (PS3.5 7), the DICOM JSON model (PS3.18 F), character sets
(PS3.5 6.1), person names (PS3.5 6.2.1), attribute tables and matching (PS3.4 C.2.2.2).
"""
