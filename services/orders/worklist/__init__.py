"""The modality worklist (PS3.4 K): C-FIND of scheduled steps."""
