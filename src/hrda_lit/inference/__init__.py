"""How whole images are predicted: at once, in windows, augmented, and as a graph can hold it."""
