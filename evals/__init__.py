"""Evaluation: tasks, metrics, runs and reports."""
