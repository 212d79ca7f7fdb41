"""What a budget of n whole solutions pays for, in a search that spends it step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reason.types import Path, Step


def size(step: Step) -> int:
    """What a step cost: its tokens, or its characters where tokens are unknown; at least 1."""
    return max(len(step.token_ids) or len(step.text), 1)


@dataclass(slots=True)
class Spending:
    """The running account of one search.

    A solution costs the mean of the complete ones found so far; before there is one, as many mean steps as the deepest
    path has, and one more.

    Attributes:
        n: The budget in whole solutions.
        steps, step_size: Steps sampled and their sizes' sum.
        rollout_size: Sum of the sizes of continuations to the end.
        solutions, solution_size, solution_steps: Complete paths found, and the sums of their sizes and steps.
        deepest: Steps of the longest path.
    """

    n: int
    steps: int = 0
    step_size: int = 0
    rollout_size: int = 0
    solutions: int = 0
    solution_size: int = 0
    solution_steps: int = 0
    deepest: int = 0

    def step(self, path: Path, copies: int = 1) -> None:
        """A path was extended by its last step, by equal ones `copies` times."""
        self.steps += copies
        self.step_size += copies * size(path.steps[-1])
        self._reached(path)

    def rollout(self, path: Path) -> None:
        """A path was continued to its end, in one step."""
        self.rollout_size += size(path.steps[-1])
        self._reached(path)

    def _reached(self, path: Path) -> None:
        self.deepest = max(self.deepest, len(path.steps))
        if path.complete:
            self.solutions += 1
            self.solution_size += sum(size(step) for step in path.steps)
            self.solution_steps += len(path.steps)

    @property
    def mean_step(self) -> float:
        """The mean size of a step."""
        return self.step_size / self.steps if self.steps else 1.0

    @property
    def mean_solution(self) -> float:
        """The size of a whole solution, as far as is known."""
        if self.solutions:
            return self.solution_size / self.solutions
        return (self.deepest + 1) * self.mean_step

    def left(self) -> int:
        """Steps that the budget still pays for."""
        spent = self.step_size + self.rollout_size
        return max(int((self.n * self.mean_solution - spent) / self.mean_step + 1e-9), 0)

    def rollout_steps(self, depths: Sequence[int]) -> int:
        """What continuations to the end from these depths would cost, in steps, rounded."""
        solution = self.mean_solution / self.mean_step
        return round(sum(max(solution - depth, 0.0) for depth in depths))
