"""What is supervised: backbones, heads and segmentors."""
