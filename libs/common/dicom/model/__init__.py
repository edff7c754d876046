"""Data sets as documents, and back: the DICOM JSON Model (PS3.18 Annex F) and the Native DICOM Model (PS3.19 A.1).
Pure."""
