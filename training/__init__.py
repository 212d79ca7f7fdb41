"""Traces in, better models out."""
