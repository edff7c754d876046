"""The embedded search index: entries are applied in one transaction, rows are read in pages."""
