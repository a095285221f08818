"""Pure functions on tensors: the formulas of the method, with nothing around them."""
