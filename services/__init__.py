"""The services. They never import one another."""
