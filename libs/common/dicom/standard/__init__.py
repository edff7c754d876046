"""DICOM's own words as tables: data dictionary, value representations, SOP classes, transfer syntaxes. Nothing else may
hold a copy of them."""
