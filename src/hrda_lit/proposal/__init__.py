"""Propose experiments for your own data: measure two folders and write YAML files for them."""
