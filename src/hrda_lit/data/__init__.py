"""Images and labels: classes, readers, transforms, sampling, the data module."""
