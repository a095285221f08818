"""The configuration tree: what Hydra composes experiments from."""
