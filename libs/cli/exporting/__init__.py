"""`gantry export`: studies of an archive as a folder, a ZIP file or DICOM media, as they are or de-identified."""
