"""The trace store: everything a search does, written as it lands; resume, and reading it again.

`Store` is what `reason.solve(store=...)` writes to, `read` opens one for reading. A policy or scorer may have a member
`identity`, a text that differs where its results would (`reason.identity`).
"""

from reason.trace.errors import StoreError
from reason.trace.read import Trace, read
from reason.trace.rows import (
    Meta,
    StoredCandidate,
    StoredNode,
    StoredOutcome,
    StoredProblem,
    StoredScore,
    StoredSearch,
    TreeNode,
)
from reason.trace.store import Store

__all__ = [
    "Meta",
    "Store",
    "StoreError",
    "StoredCandidate",
    "StoredNode",
    "StoredOutcome",
    "StoredProblem",
    "StoredScore",
    "StoredSearch",
    "Trace",
    "TreeNode",
    "read",
]
