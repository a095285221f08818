"""A proposal for data of your own: what is measured of two folders, and the YAML files that follow from it."""
