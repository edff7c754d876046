"""Examines a data set while its bytes pass by: its identity, its header, and the places of its bulk values (PS3.5 7).
Pure."""
