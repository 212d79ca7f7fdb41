"""The surprise head: read incrementally it equals its formula over a plain forward pass."""

import asyncio
import math

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from tiny_scorers import byte_tokenizer  # noqa: E402

from reason.scorers import load_scorer  # noqa: E402
from reason.scorers.store import save_scorer  # noqa: E402
from reason.scorers.surprise import FLOOR, SurpriseHead, surprise_features  # noqa: E402
from reason.types import Finish, Path, Problem, Step, UsageError  # noqa: E402

PROMPT = {"template": "{question}\n", "step_end": ["\n"]}


@pytest.fixture(scope="module")
def parts():
    torch.manual_seed(0)
    tokenizer = byte_tokenizer()
    config = transformers.Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        eos_token_id=256,
    )
    backbone = transformers.Qwen2Model(config).eval().half().float()
    torch.nn.init.normal_(backbone.embed_tokens.weight, std=0.3)
    backbone.half().float()
    head = SurpriseHead(backbone.embed_tokens.weight)
    with torch.no_grad():
        head.weights.copy_(torch.tensor([0.25, 0.0625]))
    return backbone, head.half().float(), tokenizer


@pytest.fixture(scope="module")
def directory(parts, tmp_path_factory):
    backbone, head, tokenizer = parts
    return save_scorer(tmp_path_factory.mktemp("surprise"), backbone, head, tokenizer, kind="process", prompt=PROMPT)


def naive(parts, question, text, *, closed):
    """The logit's formula, line by line, over one plain forward pass."""
    backbone, head, tokenizer = parts
    prompt = tokenizer.encode(question + "\n", add_special_tokens=False)
    ids = prompt + tokenizer.encode(text, add_special_tokens=False) + ([256] if closed else [])
    with torch.inference_mode():
        hidden = backbone(input_ids=torch.tensor([ids])).last_hidden_state[0]
        expected = (hidden @ backbone.embed_tokens.weight.T).log_softmax(-1)
        values = head.value(hidden).squeeze(-1)
    surprises, found = [], []
    newline = tokenizer.encode("\n", add_special_tokens=False)[0]
    for place in range(len(prompt), len(ids)):
        surprises.append(max(float(expected[place - 1, ids[place]]), FLOOR))
        if ids[place] == newline or place == len(ids) - 1:
            logit = float(values[place]) + 0.25 * min(surprises) + 0.0625 * math.fsum(surprises)
            found.append(1 / (1 + math.exp(-logit)))
    return found


def judged(scorer, path):
    [score] = asyncio.run(scorer.judge([path]))
    return score


def test_incremental_values_equal_the_formula(parts, directory):
    scorer = load_scorer(str(directory))
    problem = Problem("1", "what is b?")
    path, text, passed = Path(problem), "", 0
    for line, finish in (("a b = c\n", Finish.STEP), ("ba = 1\n", Finish.STEP), ("Answer: 3", Finish.STOP)):
        path, text = path.then(Step(line, finish=finish)), text + line
        score = judged(scorer, path)
        passed += score.tokens
        wanted = naive(parts, problem.question, text, closed=finish is Finish.STOP)
        assert list(score.steps) == pytest.approx(wanted, abs=1e-4)
        assert score.value == pytest.approx(wanted[-1], abs=1e-4)
    assert passed == scorer.count_tokens(path)
    whole = judged(load_scorer(str(directory)), Path(problem).then(Step(text, finish=Finish.STOP)))
    assert list(whole.parts) == pytest.approx(list(score.steps), abs=1e-4)


@given(st.lists(st.floats(-60, 0, width=32), min_size=1, max_size=20))
def test_features_are_the_running_minimum_and_sum(logprobs):
    features = surprise_features(torch.tensor(logprobs, dtype=torch.float64))
    cut = [max(value, FLOOR) for value in logprobs]
    for t in range(len(cut)):
        assert float(features[t, 0]) == pytest.approx(min(cut[: t + 1]))
        assert float(features[t, 1]) == pytest.approx(math.fsum(cut[: t + 1]))


def test_an_unknown_head_is_refused(directory, tmp_path):
    import json
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(directory, copy)
    settings = json.loads((copy / "reason.json").read_text())
    assert settings["head"] == "surprise"
    (copy / "reason.json").write_text(json.dumps(settings | {"head": "quadratic"}))
    with pytest.raises(UsageError, match="quadratic"):
        load_scorer(str(copy))
