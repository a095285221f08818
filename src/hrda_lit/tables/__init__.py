"""Tables: IoU per class, sweeps, comparisons of runs."""
