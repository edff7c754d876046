"""Data sets written in another encoding than they were read in (PS3.5 7.1, A.1 to A.3)."""
