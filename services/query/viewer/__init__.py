"""The page at /: a study list over our own DICOMweb, and OHIF where it is installed.

`files` says what is served for which path (pure but for reading files); `web` answers. The page itself is one HTML, one
CSS and one JavaScript file beside this one: no framework, no build, nothing from anywhere else.
"""
