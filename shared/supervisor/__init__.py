"""Keeps child processes alive: restarts with backoff, prefixed output, an end in good order."""
