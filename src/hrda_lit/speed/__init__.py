"""How a step is run: as it comes, by compiled regions, or as graphs that are replayed; the numbers stay the same."""
