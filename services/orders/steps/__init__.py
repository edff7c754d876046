"""Modality performed procedure steps (PS3.4 F): N-CREATE, N-SET and N-GET."""
