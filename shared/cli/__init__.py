"""`headrace`, the operators' CLI: what the `nats` CLI cannot do."""
