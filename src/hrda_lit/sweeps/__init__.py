"""Sweeps: many runs of one command, read back from disk as one table and one picture."""
