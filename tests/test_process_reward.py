import asyncio
import math
import random

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from reason.evals.tasks.word_problems import generate  # noqa: E402
from reason.scorers import load_scorer  # noqa: E402
from reason.scorers.store import save_scorer  # noqa: E402
from reason.training.arithmetic import (  # noqa: E402
    END_ID,
    ProblemBatches,
    collate,
    equation_batch,
    solution_row,
    train_tokenizer,
)
from reason.training.bundled import hub_tokenizer  # noqa: E402
from reason.training.process_reward import ValueModel, auc  # noqa: E402
from reason.types import Finish, Path, Problem, Step  # noqa: E402

RIGHT = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__, "/": int.__floordiv__}


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([generate("train", 0, i) for i in range(200)], 400)


def tiny_lm(vocabulary):
    torch.manual_seed(0)
    return transformers.Qwen2ForCausalLM(
        transformers.Qwen2Config(
            vocab_size=vocabulary,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
        )
    )


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.4, 0.4001, 0.9]), st.integers(0, 1)), min_size=1, max_size=30))
def test_auc_is_the_share_of_pairs_in_order(pairs):
    values = torch.tensor([value for value, _ in pairs])
    labels = torch.tensor([float(label) for _, label in pairs])
    good = [value for value, label in pairs if label]
    bad = [value for value, label in pairs if not label]
    if not good or not bad:
        assert math.isnan(auc(values, labels))
        return
    brute = sum((g > b) + (g == b) / 2 for g in good for b in bad) / (len(good) * len(bad))
    assert auc(values, labels) == pytest.approx(brute)


def test_digits_are_single_tokens_and_text_survives(tokenizer):
    problem = generate("train", 9, 1)
    text = problem.question + "\n" + problem.solution
    encoded = tokenizer.encode(text)
    assert tokenizer.decode(encoded.ids) == text
    assert sum(any(c.isdigit() for c in tokenizer.decode([i])) for i in encoded.ids) == sum(c.isdigit() for c in text)


def test_equation_packs_hold_right_lines_whose_results_are_learned(tokenizer):
    batch = equation_batch(tokenizer, seed=0, step=0, batch=4, lines=6)
    assert torch.equal(batch.ids, equation_batch(tokenizer, seed=0, step=0, batch=4, lines=6).ids)
    assert not torch.equal(batch.ids[:, :9], equation_batch(tokenizer, seed=0, step=1, batch=4, lines=6).ids[:, :9])
    for ids, lm in zip(batch.ids, batch.lm, strict=True):
        lines = tokenizer.decode(ids.tolist()).splitlines()
        results = tokenizer.decode(ids[lm].tolist()).splitlines()
        assert len(lines) == len(results) == 6
        for line, learned in zip(lines, results, strict=True):
            left, operator, right, _, result = line.split()
            assert RIGHT[operator](int(left), int(right)) == int(result) == int(learned)


def test_a_share_of_results_is_left_unlearned(tokenizer):
    problem = generate("train", 2, 5)
    whole, _, _, _ = solution_row(tokenizer, random.Random(0), problem)
    ids, lm, _, start = solution_row(tokenizer, random.Random(0), problem, results=0.0)
    assert ids == whole == [*tokenizer.encode(f"{problem.question}\n{problem.solution}").ids, END_ID]
    assert tokenizer.decode(ids[:start]) == problem.question + "\n"
    unlearned = tokenizer.decode([i for i, trained in zip(ids, lm, strict=True) if not trained])
    assert unlearned == problem.question + "\n" + "".join(f" {line.split()[-1]}\n" for line in problem.lines)


def test_problem_batches_are_a_function_of_the_step(tokenizer):
    first, second = (ProblemBatches(tokenizer, seed=3, batch=2, make=solution_row) for _ in range(2))
    assert torch.equal(first.at(40).ids, second.at(40).ids)
    batch = first.at(5)
    assert batch.values.isnan().all()
    for ids, lm in zip(batch.ids, batch.lm, strict=True):
        assert int(ids[lm][-1]) == END_ID
        assert tokenizer.decode(ids[lm].tolist()).splitlines()[-1].startswith("Answer: ")


def valued_row(tokenizer, index):
    """A gold solution whose lines are worth 1, its end 1 for even problems and 0 for odd ones."""
    ids, lm, values, start = solution_row(tokenizer, random.Random(0), generate("train", 1, index))
    values = [
        1.0 if i >= start and tokenizer.decode([token]) == "\n" else v
        for i, (token, v) in enumerate(zip(ids, values, strict=True))
    ]
    values[-1] = float(index % 2 == 0)
    return ids, lm, values, start


def test_the_value_model_learns_what_is_marked_and_padding_changes_nothing(tokenizer):
    model = ValueModel(tiny_lm(tokenizer.get_vocab_size())).eval()
    torch.nn.init.constant_(model.head.weights, 0.1)
    rows = [valued_row(tokenizer, i) for i in range(6)]
    together = model.values(collate(rows))
    for k, row in enumerate(rows):
        alone = model.values(collate([row]))[0]
        assert torch.allclose(together[k, : len(row[0])], alone, atol=1e-5)
    batch = collate(rows)
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    history = []
    for _ in range(30):
        losses = model.losses(batch, lm_weight=0.5)
        losses["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
        history.append({name: float(value.detach()) for name, value in losses.items()})
    assert history[0]["loss"] == pytest.approx(history[0]["value"] + 0.5 * history[0]["lm"], rel=1e-4)
    assert history[-1]["value"] < history[0]["value"]
    assert history[-1]["lm"] < history[0]["lm"]


def test_a_trained_value_model_and_its_scorer_agree(tokenizer, tmp_path):
    """What the training code computes in one padded pass is what the scorer reads step by step."""
    model = ValueModel(tiny_lm(tokenizer.get_vocab_size())).eval()
    torch.nn.init.constant_(model.head.weights, 0.25)
    model.half().float()
    prompt = {"template": "{question}\n", "step_end": ["\n"]}
    save_scorer(tmp_path, model.lm.model, model.head, hub_tokenizer(tokenizer), kind="process", prompt=prompt)
    scorer = load_scorer(str(tmp_path))
    problem = generate("train", 1, 3)
    path = Path(Problem("1", problem.question))
    for line in problem.lines:
        path = path.then(Step(line + "\n"))
    path = path.then(Step(f"Answer: {problem.answer}", finish=Finish.STOP))
    [score] = asyncio.run(scorer.judge([path]))
    ids, lm, values, start = solution_row(tokenizer, random.Random(0), problem)
    predicted = model.values(collate([(ids, lm, values, start)]))[0]
    ends = [i for i in range(start, len(ids)) if tokenizer.decode([ids[i]]) == "\n"] + [len(ids) - 1]
    assert list(score.steps) == pytest.approx([float(predicted[i]) for i in ends], abs=1e-4)
