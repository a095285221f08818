"""A run as a folder that can be left alone: whose it is, where it goes on, what has changed since."""
