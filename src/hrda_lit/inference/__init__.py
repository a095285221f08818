"""Predict whole images: at once, in windows, augmented, or in an exported graph."""
