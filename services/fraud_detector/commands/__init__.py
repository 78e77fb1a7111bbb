"""Commands that `headrace` takes over from the fraud detector."""
