"""Orders over HTTP: a resource of its own beside DICOMweb, in the DICOM JSON model."""
