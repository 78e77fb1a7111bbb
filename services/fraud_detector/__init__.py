"""The fraud detector: rules over sliding windows and a model, on the log of payments."""
