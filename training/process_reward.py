"""Process and outcome reward models: one logit where a step ends, trained on soft or hard values.

The loss is binary cross-entropy against values in [0, 1] at the marked positions (Math-Shepherd, Wang et al. 2023,
arXiv:2312.08935, eq. 5 with soft targets). Optionally the language-model loss is kept beside it, as Cobbe et al. 2021
(arXiv:2110.14168, section 4.2) do for verifiers.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from transformers import PreTrainedModel

from reason.scorers.surprise import SurpriseHead, surprise_features
from reason.training.arithmetic import Batch


class ValueModel(nn.Module):
    """A causal language model with a scalar head on its hidden states and its surprises.

    The value loss does not reach the backbone through the surprises: it would unlearn to predict in order to be
    surprised (tried: the language-model loss rose from .06 to .17 in 200 steps).

    Attributes:
        lm: The language model; its backbone is `lm.model`.
        head: The logit of a value at every token (`reason.scorers.surprise`).
    """

    def __init__(self, lm: PreTrainedModel) -> None:
        super().__init__()
        self.lm = lm
        embedding: nn.Embedding = lm.get_input_embeddings()  # type: ignore[assignment]
        self.head = SurpriseHead(embedding.weight)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Value logits, and log-probabilities of the solution's tokens (0 elsewhere): both [batch, length]."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.training):
            hidden = self.lm.model(input_ids=batch.ids, use_cache=False).last_hidden_state
            logprobs = self.logprobs(hidden, batch)
        value = self.head.value(hidden.float()).squeeze(-1)
        return value + surprise_features(logprobs.detach()) @ self.head.weights, logprobs

    def logprobs(self, hidden: Tensor, batch: Batch) -> Tensor:
        """Log-probabilities of the solution's tokens from hidden states [batch, length, width]; 0 elsewhere."""
        inside = batch.solution[:, 1:]
        expected = self.lm.lm_head(hidden[:, :-1][inside])
        found = hidden.new_zeros(batch.ids.shape, dtype=torch.float32)
        found[batch.solution] = -cross_entropy(expected.float(), batch.ids[:, 1:][inside], reduction="none")
        return found

    def losses(self, batch: Batch, *, lm_weight: float) -> dict[str, Tensor]:
        """The losses of a batch: "loss" = value loss + lm_weight * language-model loss (either may be absent)."""
        logits, logprobs = self(batch)
        parts: dict[str, Tensor] = {}
        total = logits.new_zeros(())
        marked = ~batch.values.isnan()
        if bool(marked.any()):
            parts["value"] = binary_cross_entropy_with_logits(logits[marked], batch.values[marked])
            total = total + parts["value"]
        if lm_weight and bool(batch.lm.any()):
            parts["lm"] = -logprobs[batch.lm].mean()
            total = total + lm_weight * parts["lm"]
        return {"loss": total, **parts}

    @torch.inference_mode()
    def values(self, batch: Batch) -> Tensor:
        """Predicted values in [0, 1], [batch, length]."""
        logits: Tensor = self(batch)[0]
        return logits.sigmoid()


def auc(values: Tensor, labels: Tensor) -> float:
    """Area under the ROC curve of values against 0/1 labels (1-D, same length); ties count half, NaN with one class."""
    positives, negatives = int(labels.sum()), int((1 - labels).sum())
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = torch.unique(values, return_inverse=True, return_counts=True)
    upper = counts.cumsum(0).double()
    ranks = (upper - (counts.double() - 1) / 2)[inverse]
    return float((ranks[labels.bool()].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def batch_auc(model: ValueModel, batches: list[Batch], keep: Callable[[Batch], Tensor] | None = None) -> float:
    """AUC of the predicted values over all marked positions, targets above one half counted as right."""
    values, labels = [], []
    for batch in batches:
        marked = ~batch.values.isnan() if keep is None else keep(batch)
        values.append(model.values(batch)[marked])
        labels.append((batch.values[marked] > 0.5).float())
    return auc(torch.cat(values), torch.cat(labels))


def fit_head(model: ValueModel, batches: list[Batch], *, iterations: int = 200, penalty: float = 1e-3) -> float:
    """Fit the head alone on frozen states: logistic regression on soft values, to convergence (L-BFGS).

    Gradient descent with a learning rate fit for the backbone leaves the few weights of the surprises far too small.

    Args:
        model: Its backbone is not changed.
        batches: Valued positions.
        iterations: Most L-BFGS iterations.
        penalty: L2 penalty on standardised features.

    Returns:
        The mean binary cross-entropy, in nats.
    """
    states, surprises, values = [], [], []
    with torch.inference_mode():
        for batch in batches:
            marked = ~batch.values.isnan()
            hidden = model.lm.model(input_ids=batch.ids, use_cache=False).last_hidden_state
            states.append(hidden[marked])
            surprises.append(surprise_features(model.logprobs(hidden, batch))[marked])
            values.append(batch.values[marked])
    features = torch.cat((torch.cat(states), torch.cat(surprises)), -1).double().clone()
    targets = torch.cat(values).double().clone()
    mean, scale = features.mean(0), features.std(0).clamp(min=1e-6)
    standard = (features - mean) / scale
    weights = torch.zeros(standard.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=iterations, line_search_fn="strong_wolfe")
    last = 0.0

    def closure() -> float:
        nonlocal last
        optimizer.zero_grad()
        loss = binary_cross_entropy_with_logits(standard @ weights + bias, targets)
        last = float(loss.detach())
        loss = loss + penalty * weights.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        raw = weights / scale
        model.head.value.weight.copy_(raw[:-2].float()[None])
        model.head.value.bias.copy_((bias - raw @ mean).float()[None])
        model.head.weights.copy_(raw[-2:].float())
    return last
