"""Studies and patients as FHIR R4 resources, to be read and searched (docs/fhir.md)."""
