"""Checkpoints: read without running their code, built into networks, fetched from hubs."""
