"""What observes a run: the moving-average teacher, pictures, tables."""
