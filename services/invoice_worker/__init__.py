"""The invoice worker: jobs become numbered, legally valid e-invoices, exactly once."""
