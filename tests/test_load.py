"""`reason.load` and `reason.wrap`: every form of a name, and one clear line for what has none."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path as File
from typing import Any

import pytest

import reason
from reason import policies
from reason.policies.fake import FakePolicy, fake_problems
from reason.policies.function import FunctionPolicy
from reason.types import Finish, MissingExtraError, Outcome, Path, Problem, Sampling, Step, Until, UsageError
from reason.work import SearchRun, extend

QUESTION = Problem("1", "What is 1 + 1?")


class Loaded(FakePolicy):
    """Stands in for TransformersPolicy."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__()
        self.arguments, self.options = arguments, options

    @classmethod
    def from_pretrained(cls, name: str, **options: Any) -> Loaded:
        if name == "org/absent":
            raise OSError("org/absent is not a\nrepository")
        return cls(name, **options)


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "_local", lambda name: Loaded)


@pytest.fixture
def model_directory(tmp_path: File) -> File:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


@pytest.mark.usefixtures("loader")
def test_directories_and_hub_names(model_directory: File) -> None:
    for name, expected in (
        (str(model_directory), str(model_directory)),
        (model_directory, str(model_directory)),
        ("hub:gpt2", "gpt2"),
        ("hub:org/name", "org/name"),
        ("org/name-1.5B", "org/name-1.5B"),
    ):
        policy = reason.load(name, device="cpu")
        assert isinstance(policy, Loaded)
        assert policy.arguments == (expected,)
        assert policy.options == {"device": "cpu"}


@pytest.mark.usefixtures("loader")
def test_the_bundled_model_is_a_directory_of_the_package(
    model_directory: File, monkeypatch: pytest.MonkeyPatch, tmp_path: File
) -> None:
    assert File(reason.__file__).parent / "models" / "policy" == policies.BUNDLED
    monkeypatch.setattr(policies, "BUNDLED", model_directory)
    policy = reason.load("bundled")
    assert isinstance(policy, Loaded)
    assert policy.arguments == (str(model_directory),)
    monkeypatch.setattr(policies, "BUNDLED", tmp_path / "nothing")
    with pytest.raises(UsageError, match="bundled model is missing from this installation"):
        reason.load("bundled")


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./runs/none", "there is no model './runs/none': no such directory or name; pass 'bundled', a directory"),
        ("/none/at/all", "there is no model '/none/at/all'"),
        ("none", "there is no model 'none'"),
        ("", "there is no model ''"),
        ("{tmp}/missing", "there is no model"),
        ("hub:", "there is no model 'hub:'"),
        ("vllm:org/name", "'vllm:org/name': servers are not available in this version; pass 'bundled'"),
        ("openai:http://localhost:8000", "servers are not available"),
        ("{tmp}", "holds no model"),
        ("{tmp}/file", "is a file; pass the model's directory"),
        ("org/absent", "'org/absent' cannot be loaded from the hub .org/absent is not a repository.; check the name"),
    ],
)
def test_names_without_a_model_are_refused_in_one_line(name: str, message: str, tmp_path: File) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=message) as caught:
        reason.load(name.format(tmp=tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("loader")
def test_a_mistyped_directory_is_not_looked_for_on_the_hub(tmp_path: File, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    with pytest.raises(UsageError, match="there is no model 'runs/modle'"):
        reason.load("runs/modle")


def test_without_torch_the_extra_is_named(model_directory: File, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"torch and transformers: pip install 'reason-toolkit\[local\]'"):
        reason.load(model_directory)


def test_wrap_refuses_what_is_neither_model_nor_function() -> None:
    class Model:
        config = None

        def forward(self) -> None: ...

    with pytest.raises(UsageError, match="a model needs its tokenizer"):
        reason.wrap(Model())
    with pytest.raises(UsageError, match="cannot make a policy of 3"):
        reason.wrap(3)
    with pytest.raises(UsageError, match="FakePolicy is a policy already"):
        reason.wrap(FakePolicy())
    with pytest.raises(UsageError, match="a function takes no tokenizer"):
        reason.wrap(str.upper, object())
    with pytest.raises(UsageError, match="no place for the question"):
        reason.wrap(str.upper, template="Q:")
    with pytest.raises(UsageError, match="workers is 0"):
        reason.wrap(str.upper, workers=0)
    with pytest.raises(UsageError, match="step_end is"):
        reason.wrap(str.upper, step_end="\n")


@pytest.mark.usefixtures("loader")
def test_wrap_of_a_model() -> None:
    class Model:
        config = None

        def forward(self) -> None: ...

    model, tokenizer = Model(), object()
    policy = reason.wrap(model, tokenizer, memory_gib=1)
    assert isinstance(policy, Loaded)
    assert policy.arguments == (model, tokenizer)
    assert policy.options == {"memory_gib": 1}


def step_of(policy: FunctionPolicy, path: Path, **sampling: Any) -> Step:
    return asyncio.run(policy.extend([path], Sampling(**sampling)))[0]


def test_a_function_is_given_the_prompt_and_its_text_is_the_solution() -> None:
    prompts: list[str] = []

    def answer(prompt: str) -> str:
        prompts.append(prompt)
        return "1 + 1 = 2\nAnswer: 2###rest"

    policy = reason.wrap(answer, template="Q: {question} {brace}\nA: ")
    assert policy.capabilities == reason.Capabilities("answer", partial=False)
    step = step_of(policy, Path(QUESTION), stop=("###",))
    assert step == Step("1 + 1 = 2\nAnswer: 2", finish=Finish.STOP)
    assert prompts == ["Q: What is 1 + 1? {brace}\nA: "]


def test_an_asynchronous_function_and_an_object_with_call() -> None:
    async def later(prompt: str) -> str:
        await asyncio.sleep(0)
        return "later"

    class Client:
        async def __call__(self, prompt: str) -> str:
            return "client"

    assert step_of(reason.wrap(later), Path(QUESTION)).text == "later"
    assert step_of(reason.wrap(Client(), name="mine"), Path(QUESTION)).text == "client"
    assert reason.wrap(Client()).capabilities.name == "Client"
    assert step_of(reason.wrap(lambda prompt: later(prompt)), Path(QUESTION)).text == "later"


def test_a_function_that_continues_partial_answers_is_cut_at_steps() -> None:
    solution = "\n\n1 + 1 = 2\n2 + 0 = 2\nAnswer: 2\n"

    def rest(prompt: str) -> str:
        return solution.removeprefix(prompt.partition("?\n")[2])

    policy = reason.wrap(rest, partial=True)
    assert policy.capabilities.partial
    path, pieces = Path(QUESTION), []
    while path.open:
        path = path.then(step_of(policy, path, until=Until.STEP))
        pieces.append((path.steps[-1].text, path.finish))
    assert pieces == [
        ("\n\n1 + 1 = 2\n", Finish.STEP),
        ("2 + 0 = 2\n", Finish.STEP),
        ("Answer: 2\n", Finish.STOP),
    ]
    assert step_of(policy, Path(QUESTION), until=Until.STEP, step_end=("= ",)).text == "\n\n1 + 1 = "


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ({"max_tokens": 3}, Step("x" * 12, finish=Finish.LENGTH)),
        ({"max_tokens": 5}, Step("x" * 18, finish=Finish.STOP)),
        ({"max_tokens": 5, "max_step_tokens": 2, "until": Until.STEP}, Step("x" * 8, finish=Finish.STEP)),
        ({"max_tokens": 2, "max_step_tokens": 2, "until": Until.STEP}, Step("x" * 8, finish=Finish.LENGTH)),
        ({"max_tokens": 5, "max_step_tokens": 2}, Step("x" * 18, finish=Finish.STOP)),
        ({"max_tokens": 5, "max_step_tokens": 2, "until": Until.SPAN}, Step("x" * 8, finish=Finish.STEP)),
        ({"max_tokens": 2, "max_step_tokens": 2, "until": Until.SPAN}, Step("x" * 8, finish=Finish.LENGTH)),
        ({"max_tokens": 9, "max_step_tokens": 5, "until": Until.SPAN}, Step("x" * 18, finish=Finish.STOP)),
    ],
)
def test_a_functions_text_is_cut_at_the_limit(sampling: dict[str, Any], expected: Step) -> None:
    assert step_of(reason.wrap(lambda prompt: "x" * 18), Path(QUESTION), **sampling) == expected


def test_functions_run_in_threads_no_more_than_workers() -> None:
    lock, running, most = threading.Lock(), 0, 0
    ready = threading.Barrier(3, timeout=20)

    def slow(prompt: str) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        ready.wait()
        with lock:
            running -= 1
        return "Answer: 1"

    def search(problem: Problem) -> SearchRun:
        paths = yield from extend([Path(problem)] * 3)
        return Outcome(problem, paths[0].text, paths[0])

    policy = reason.wrap(slow, workers=3)
    for _ in range(2):
        outcomes = reason.solve(fake_problems(2), policy=policy, search=search)
        assert [outcome.answer for outcome in outcomes] == ["Answer: 1"] * 2
    assert most == 3


def test_a_functions_failure_is_one_paths() -> None:
    def fussy(prompt: str) -> str:
        if "8" in prompt:
            raise ValueError("no eights")
        return None if "7" in prompt else "fine"  # type: ignore[return-value]

    paths = [Path(Problem(text, text)) for text in ("6", "7", "8")]
    steps = asyncio.run(reason.wrap(fussy).extend(paths, Sampling()))
    assert [step.error for step in steps] == [
        None,
        "BackendError: the function returned NoneType; it must return text",
        "ValueError: no eights",
    ]


def test_importing_reason_is_light() -> None:
    heavy = ("torch", "transformers", "numpy", "sympy", "rich", "networkx")
    code = f"import sys, reason; print([name for name in {heavy} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_every_public_name_exists() -> None:
    for name in reason.__all__:
        assert getattr(reason, name) is not None
    assert set(reason.__all__) <= set(dir(reason))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = reason.nothing
