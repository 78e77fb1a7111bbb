"""Chaos: three services under traffic, harmed one way after another, judged by one judge."""
