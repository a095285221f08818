"""What a training step keeps in memory: how to keep less, and how much it is."""
