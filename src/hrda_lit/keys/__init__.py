"""What the keys of the commands' configs may hold, checked before anything is read."""
