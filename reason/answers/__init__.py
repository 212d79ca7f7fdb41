"""Answers: finding them in text, comparing them, voting over them."""

from reason.answers.equality import equal
from reason.answers.extract import Extracted, answer_of, extract
from reason.answers.verdict import DEFAULT_RULES, Grade, Rules, Verdict
from reason.answers.vote import Group, vote

__all__ = ["DEFAULT_RULES", "Extracted", "Grade", "Group", "Rules", "Verdict", "answer_of", "equal", "extract", "vote"]
