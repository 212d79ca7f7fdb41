"""A head that also reads how surprised the backbone, as a language model, is by the solution.

Where right solutions are predictable, a token that the language model did not expect is the best sign of an error, and
no hidden state shows it: what was expected stands in the state before the token. With log-probabilities s_j of the
solution's tokens under the backbone's own (tied) output embedding, the logit after token t is

    v(h_t) + a * min_{j <= t} s_j + b * sum_{j <= t} s_j

v is linear in the hidden state; a and b are learned with it. (Cobbe et al. 2021, 2110.14168, train verifiers with the
language-model loss kept; here its knowledge also enters the verdict.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

FLOOR = -20.0
"""Log-probabilities are cut here, in nats."""


def surprise_features(logprobs: Tensor) -> Tensor:
    """The running minimum and sum of token log-probabilities.

    Args:
        logprobs: [..., length], in nats; 0 where a token does not count.

    Returns:
        [..., length, 2]
    """
    cut = logprobs.clamp(min=FLOOR)
    return torch.stack((cut.cummin(-1).values, cut.cumsum(-1)), -1)


class SurpriseHead(nn.Module):
    """The head's two halves: what is kept with every token, and the logits of a sequence from that.

    Args:
        embedding: The backbone's tied token embedding [vocabulary, width]; not a parameter of the head.

    Attributes:
        value: [width] -> [1].
        weights: [2], of minimum and sum.
    """

    def __init__(self, embedding: Tensor) -> None:
        super().__init__()
        self.value = nn.Linear(embedding.shape[1], 1)
        self.weights = nn.Parameter(torch.zeros(2))
        self._embedding = [embedding]

    def forward(self, hidden: Tensor) -> Tensor:
        """Hidden states [tokens, width] -> what is kept with each token, [tokens, 1 + width]: value and state."""
        return torch.cat((self.value(hidden), hidden), -1)

    def logits(self, kept: Tensor, tokens: tuple[int, ...], start: int) -> Tensor:
        """The logit after every token of one sequence.

        Args:
            kept: [length, 1 + width], from `forward`.
            tokens: The sequence.
            start: Index of the solution's first token, at least 1.

        Returns:
            [length, 1]; before the solution, of its value alone.
        """
        value = kept[:, :1]
        if start >= len(tokens):
            return value
        embedding = self._embedding[0].float()
        expected = (kept[start - 1 : -1, 1:] @ embedding.T).log_softmax(-1)
        came = torch.tensor(tokens[start:], device=kept.device)
        logprobs = expected.gather(1, came[:, None]).squeeze(1)
        added = surprise_features(logprobs) @ self.weights.float()
        return torch.cat((value[:start], value[start:] + added[:, None]))
