"""Aggregates telemetry by rules: windows of event time over a log, replayable."""
