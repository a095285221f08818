"""How good a prediction is: IoU, where it is right, tables and files of results."""
