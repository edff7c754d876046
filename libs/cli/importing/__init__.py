"""`gantry import`: bring what another archive, a DICOMweb server or folders hold into an archive; show what differs.

A source lists studies, lists the instances of one, and brings files of them. What the target has is never sent again.
How far it is stands in a job file, so that weeks of it survive restarts of everything.
"""
