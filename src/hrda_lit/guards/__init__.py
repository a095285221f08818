"""The gate to the world outside: errors for users, files that are whole or not there."""
