"""The operating system: atomic files, paths, errors, signals, malloc, progress."""
