"""The administrator's command line: `gantry echo|store|find|get|move|commit` against any archive, `gantry ae`."""
