"""Networks from and to elsewhere: released checkpoints, other names of weights, graphs."""
