"""Pixels: where frames lie, how samples are decoded, and how they become a picture.

Pure (neither asyncio nor HTTP): `image`, `frames`, `codecs`, `look`, `greys`, `palettes`, `colours`, `overlays`,
`geometry`, `rendering`, `decoding`. Of these `decoding` and `rendering` and the modules they use import numpy, and are
imported by worker processes only. `worker` is the program of such a process, `pool` runs several of them, `turns`
decides whose job is next, `spool` carries bytes to them and back, `converter` combines all of these.

PS3.3 C.7.6.3, C.7.6.16, C.11; PS3.4 N.2; PS3.5 8 and Annex A; PS3.18 8.3.5.1.
"""
