"""Studies and patients as FHIR resources, to be read and searched (docs/fhir.md)."""
