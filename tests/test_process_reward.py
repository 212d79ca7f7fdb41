import math
import random

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from reason.evals.tasks.word_problems import generate  # noqa: E402
from reason.training.arithmetic import (  # noqa: E402
    END_ID,
    ProblemBatches,
    checked_row,
    collate,
    corrupt,
    equation_batch,
    plant_error,
    train_tokenizer,
)
from reason.training.process_reward import ValueModel, auc  # noqa: E402

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


@given(st.integers(0, 10**6))
def test_a_planted_error_is_where_it_is_said_to_be(index):
    problem = generate("train", 0, index)
    gold = problem.solution.splitlines()
    lines, wrong_from = corrupt(random.Random(index), problem)
    assert lines[:wrong_from] == gold[:wrong_from]
    assert lines[wrong_from:] == [] or lines != gold


@given(st.integers(1, 999), st.integers(0, 100))
def test_a_planted_result_is_wrong(result, seed):
    wrong = plant_error(random.Random(seed), result)
    assert wrong != result
    assert wrong >= 1


def test_digits_are_single_tokens_and_text_survives(tokenizer):
    problem = generate("train", 9, 1)
    text = problem.question + "\n" + problem.solution
    encoded = tokenizer.encode(text)
    assert tokenizer.decode(encoded.ids) == text
    assert sum(any(c.isdigit() for c in tokenizer.decode([i])) for i in encoded.ids) == sum(c.isdigit() for c in text)


def test_equation_values_tell_right_lines_from_wrong_ones(tokenizer):
    batch = equation_batch(tokenizer, seed=0, step=0, batch=4, lines=6)
    again = equation_batch(tokenizer, seed=0, step=0, batch=4, lines=6)
    assert torch.equal(batch.ids, again.ids)
    for row in range(4):
        ends = (~batch.values[row].isnan()).nonzero().flatten().tolist()
        start = 0
        for end in ends:
            left, operator, right, _, result = tokenizer.decode(batch.ids[row, start : end + 1].tolist()).split()
            correct = RIGHT[operator](int(left), int(right)) == int(result)
            assert float(batch.values[row, end]) == float(correct)
            assert bool(batch.lm[row, end]) == correct
            start = end + 1
        assert len(ends) == 6


def test_checked_rows_have_one_value_per_line(tokenizer):
    rng = random.Random(0)
    for index in range(50):
        problem = generate("train", 4, index)
        ids, lm, values = checked_row(tokenizer, rng, problem)
        text = tokenizer.decode(ids[len(tokenizer.encode(problem.question + "\n").ids) :])
        marked = [value for value in values if not math.isnan(value)]
        assert len(marked) == len(text.splitlines())
        assert marked == sorted(marked, reverse=True)
        assert len(ids) == len(lm) == len(values)


def test_problem_batches_are_a_function_of_the_step(tokenizer):
    first, second = (ProblemBatches(tokenizer, seed=3, batch=2) for _ in range(2))
    assert torch.equal(first.at(40).ids, second.at(40).ids)
    batch = first.at(5)
    assert batch.values.isnan().all()
    for ids, lm in zip(batch.ids, batch.lm, strict=True):
        assert int(ids[lm][-1]) == END_ID
        assert tokenizer.decode(ids[lm].tolist()).splitlines()[-1].startswith("Answer: ")


def test_the_value_model_learns_what_is_marked_and_padding_changes_nothing(tokenizer):
    model = ValueModel(tiny_lm(tokenizer.get_vocab_size()))
    rows = [checked_row(tokenizer, random.Random(i), generate("train", 1, i)) for i in range(6)]
    together = model.values(collate(rows))
    for k, row in enumerate(rows):
        alone = model.values(collate([row]))[0]
        assert torch.allclose(together[k, : len(row[0])], alone, atol=1e-5)
    batch = collate(rows)
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
