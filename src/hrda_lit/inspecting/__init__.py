"""The check of the data before the first step: broken, missing and useless files, and an overview."""
