"""A look at the data before the first step: what is broken, missing or mistaken, and what there is."""
