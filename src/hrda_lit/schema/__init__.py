"""What each command's tree may hold; only the commands import it."""
