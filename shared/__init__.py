"""What all services share: contracts, engines, the service runner, the operators CLI."""
