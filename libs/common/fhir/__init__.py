"""FHIR R4 (https://hl7.org/fhir/R4), and R5: what the archive says of studies and patients as its resources. Pure."""
