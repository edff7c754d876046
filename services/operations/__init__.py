"""The content and actions of the page's Operations section, over HTTP (docs/operations.md).

Nothing is computed here: `whereabouts`, `maintenance` and `lifecycle` do it, for the commands, too. This package calls
them within bounds (`turns`), puts the answers into JSON, and decides who may call (`callers`). Values that only one
process knows are labelled as such.
"""
