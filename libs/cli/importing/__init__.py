"""`gantry import`: copies studies from another archive, a DICOMweb server or folders to an archive; shows differences.

A source lists studies, lists the instances of a study, and supplies their files. Instances that the target has are
never sent again. A job file records the progress, so that an import of weeks survives all restarts.
"""
