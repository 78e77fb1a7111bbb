"""What crosses the wire: message structs and header names. No behaviour, no I/O."""
