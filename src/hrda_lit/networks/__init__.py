"""Networks: backbones, heads and segmentors."""
