"""What a step, a sample, an image and a byte cost, measured with the library's own parts on data that are made up."""
