"""Commands in addition to those of the package: `python -m hrda_lit.scripts.results_table` where it is installed."""
