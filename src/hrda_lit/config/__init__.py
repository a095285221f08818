"""Reading a config: values, overrides, help, misspelt keys, objects from nodes."""
