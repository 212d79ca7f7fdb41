"""Test-time search for language models."""
