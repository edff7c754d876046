"""The page at /: a workspace over our own DICOMweb, and OHIF where it is installed (docs/page.md).

`files` maps paths to files (pure but for reading files); `web` answers. The page itself is `index.html` and the folder
`page`: plain modules, one component each, and styles. No framework, no build, no other host.
"""
