"""With which labels the student learns: supervised and self-training methods."""
