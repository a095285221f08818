"""Training: EMA teacher, skipped steps, health, memory options, step runners."""
