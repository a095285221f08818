"""The folder of a run: claim, save, resume, end, loggers; whether sizes and memory fit."""
