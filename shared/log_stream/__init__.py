"""Stream processing: continuous computation over ordered, retained events, exactly once."""
