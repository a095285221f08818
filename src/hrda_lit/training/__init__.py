"""Callbacks and step runners: EMA teacher, skipped steps, health, memory options, compiled and replayed steps."""
