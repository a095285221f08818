"""Reading a config: ranges, checked values, overrides, help, sentences, objects from nodes."""
