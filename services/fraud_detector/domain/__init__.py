"""The pure heart of the fraud detector: values in, values out."""
