"""Evaluation runs: records, resuming, summaries, failures as data."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from dataclasses import asdict, replace

import pytest

from reason.answers import Grade, Verdict
from reason.budget import Budget
from reason.evals.record import FAILED, Record, summarize
from reason.evals.results import Results, write_whole
from reason.evals.run import evaluate, fingerprint
from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
from reason.search import beam, best_of_n, cot, self_consistency
from reason.types import Problem, Sampling, UsageError
from toy import TASK

CONFIG = {"task": "toy", "seed": 0}


def run(
    problems: Sequence[Problem], folder: pathlib.Path | None = None, policy: FakePolicy | None = None
) -> list[Record]:
    results = Results(folder, CONFIG) if folder is not None else None
    return evaluate(
        problems,
        TASK.grade,
        policy=policy or FakePolicy(accuracy=0.6),
        search=best_of_n(4),
        scorer=FakeScorer(),
        results=results,
    )


def content(records: Sequence[Record]) -> list[tuple[str, str, str | None, int, int]]:
    """What must not depend on timing."""
    return [(r.problem, r.text, r.answer, r.generated_tokens, r.scored_tokens) for r in records]


def test_records_come_in_the_problems_order_and_are_graded() -> None:
    problems = fake_problems(20)
    records = run(problems)
    assert [record.problem for record in records] == [problem.id for problem in problems]
    assert {record.verdict for record in records} <= {"correct", "incorrect"}
    assert all(record.correct == (record.answer == record.gold) for record in records)
    assert all(record.candidates == 4 for record in records)


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: pathlib.Path) -> None:
    problems = fake_problems(20)
    whole = run(problems)
    run(problems[:7], tmp_path)
    policy = FakePolicy(accuracy=0.6)
    resumed = run(problems, tmp_path, policy)
    assert content(resumed) == content(whole)
    assert sum(policy.calls) == 13 * 4


def test_a_torn_last_line_is_dropped(tmp_path: pathlib.Path) -> None:
    problems = fake_problems(5)
    whole = run(problems, tmp_path)
    file = tmp_path / "results.jsonl"
    file.write_text(file.read_text()[:-30])
    policy = FakePolicy(accuracy=0.6)
    assert content(run(problems, tmp_path, policy)) == content(whole)
    assert sum(policy.calls) == 4
    assert len([json.loads(line) for line in file.read_text().splitlines()]) == 5


SEPARATORS = "one\u2028two\u2029three\u0085four\x0bfive\x0csix\x1cseven"


def record(problem: str, text: str = "") -> Record:
    return Record(problem, "correct", "1", "1", text, "stop", "done", None, 1, 0, 0, 0, 5, 5, 0, 0.0, 0.1, 0.1)


@pytest.mark.parametrize("text", [SEPARATORS, "a lone \ud800 surrogate", "\udcff", "line\r\nfeed\rs"])
def test_any_text_of_a_solution_is_kept(tmp_path: pathlib.Path, text: str) -> None:
    results = Results(tmp_path, CONFIG)
    results.add(record("a", text))
    results.add(record("b"))
    for _ in range(2):
        assert Results(tmp_path, CONFIG).records == {"a": record("a", text), "b": record("b")}
    assert (tmp_path / "results.jsonl").read_bytes().isascii()


def test_records_of_other_versions_stay_readable(tmp_path: pathlib.Path) -> None:
    """They were written without escapes, and before samples were kept."""
    Results(tmp_path, CONFIG)
    row = asdict(record("a", SEPARATORS[:-12]))
    del row["samples"]
    (tmp_path / "results.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n", "utf-8")
    assert Results(tmp_path, CONFIG).records == {"a": record("a", SEPARATORS[:-12])}
    problems = [Problem("a", "1", "1"), *fake_problems(2)]
    records = run(problems, tmp_path)
    assert [item.samples is None for item in records] == [True, False, False]


@pytest.mark.parametrize(
    ("change", "said"),
    [({"novel": 1}, "with novel"), ({"gold": ...}, "without gold"), ({"samples": [1]}, ""), ({"failures": 3}, "")],
)
def test_records_that_cannot_be_read_are_refused_and_kept(tmp_path: pathlib.Path, change, said: str) -> None:  # type: ignore[no-untyped-def]
    Results(tmp_path, CONFIG)
    row = {key: value for key, value in {**asdict(record("a")), **change}.items() if value is not ...}
    file = tmp_path / "results.jsonl"
    file.write_text(json.dumps(row) + "\n")
    before = file.read_bytes()
    with pytest.raises(UsageError, match=f"line 1 is not a record of this version.*{said}.*another --out"):
        Results(tmp_path, CONFIG)
    assert file.read_bytes() == before


def test_a_line_torn_within_a_character_is_dropped(tmp_path: pathlib.Path) -> None:
    Results(tmp_path, CONFIG).add(record("a"))
    with (tmp_path / "results.jsonl").open("ab") as file:
        file.write('{"problem": "é'.encode()[:-1])
    assert list(Results(tmp_path, CONFIG).records) == ["a"]


def test_a_file_is_replaced_as_a_whole(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    write_whole(file, "old")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            write_whole(file, "new")
    assert file.read_text() == "old"
    link = tmp_path / "link"
    link.symlink_to(file)
    write_whole(link, "newer")
    assert file.read_text() == "newer"
    assert link.is_symlink()
    write_whole(pathlib.Path("/dev/null"), "nothing")
    assert not pathlib.Path("/dev/null").is_file()


@pytest.mark.parametrize("place", ["/dev/null/x", "file", "file/x", "x" * 5000])
def test_a_folder_that_cannot_be_is_refused(tmp_path: pathlib.Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--out .* cannot be used"):
        Results(tmp_path / place, CONFIG)


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_folder_with_a_broken_configuration_is_refused(tmp_path: pathlib.Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UsageError, match="another --out"):
        Results(tmp_path, CONFIG)


def test_another_configuration_is_refused_and_named(tmp_path: pathlib.Path) -> None:
    Results(tmp_path, CONFIG)
    with pytest.raises(UsageError, match="seed 0 there, 1 now"):
        Results(tmp_path, {**CONFIG, "seed": 1})


def test_results_without_a_configuration_are_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "results.jsonl").write_text("{}\n")
    with pytest.raises(UsageError, match="another --out"):
        Results(tmp_path, CONFIG)


def test_the_fingerprint_tells_problems_apart() -> None:
    assert fingerprint(fake_problems(3)) == fingerprint(fake_problems(3))
    assert (
        len({fingerprint(fake_problems(3)), fingerprint(fake_problems(4)), fingerprint(fake_problems(3, seed=1))}) == 3
    )


def test_a_failed_search_is_recorded_and_tried_again(tmp_path: pathlib.Path) -> None:
    problems = fake_problems(4)

    def broken(problem: Problem):  # type: ignore[no-untyped-def]
        if problem.id == "fake-2":
            raise MemoryError("too large")
        result = yield from cot()(problem)
        return result

    def attempt(search) -> list[Record]:  # type: ignore[no-untyped-def]
        return evaluate(problems, TASK.grade, policy=FakePolicy(), search=search, results=Results(tmp_path, CONFIG))

    records = attempt(broken)
    assert [record.verdict == FAILED for record in records] == [False, False, True, False]
    assert "too large" in records[2].failures[0]
    summary = summarize(records)
    assert (summary["unscored"], summary["failed"], summary["problems"]) == (1, 1, 4)
    assert summary["accuracy"] == summary["correct"] / 3
    assert [record.verdict == FAILED for record in attempt(cot())] == [False] * 4


def test_truncated_and_unanswered_problems_are_counted() -> None:
    records = evaluate(
        fake_problems(6), TASK.grade, policy=FakePolicy(), search=cot(), sampling=Sampling(max_tokens=12)
    )
    summary = summarize(records)
    assert summary["truncated"] == summary["truncated_samples"] == 6
    assert summary["accuracy"] == 0


def test_a_budget_that_ends_is_recorded() -> None:
    records = evaluate(
        fake_problems(4), TASK.grade, policy=FakePolicy(), search=self_consistency(8), budget=Budget(tokens=60)
    )
    assert {record.stopped for record in records} == {"budget"}
    assert all(record.generated_tokens <= 60 for record in records)


def test_a_broken_gold_answer_leaves_the_problem_out_of_the_accuracy() -> None:
    def grade(problem: Problem, text: str) -> Verdict:
        return Verdict(Grade.GOLD_ERROR) if problem.id == "fake-0" else TASK.grade(problem, text)

    summary = summarize(evaluate(fake_problems(5), grade, policy=FakePolicy(accuracy=1.0), search=cot()))
    assert (summary["unscored"], summary["failed"], summary["correct"], summary["accuracy"]) == (1, 0, 4, 1.0)


def test_nothing_scored_is_no_accuracy() -> None:
    summary = summarize([])
    assert summary["accuracy"] is None
    assert summary["ci95"] is None


def test_unscored_samples_are_counted_only_where_a_scorer_should_have_judged() -> None:
    broken = FakeScorer(error=lambda path: "no" if path.problem.id == "fake-1" else None)
    records = evaluate(fake_problems(3), TASK.grade, policy=FakePolicy(), search=best_of_n(4), scorer=broken)
    assert [record.unscored_candidates for record in records] == [0, 4, 0]
    plain = evaluate(fake_problems(3), TASK.grade, policy=FakePolicy(), search=self_consistency(4))
    assert [record.unscored_candidates for record in plain] == [0, 0, 0]


def test_scored_tokens_stay_near_generated_ones() -> None:
    records = evaluate(
        fake_problems(10), TASK.grade, policy=FakePolicy(accuracy=0.6), search=beam(16, 4), scorer=FakeScorer()
    )
    summary = summarize(records)
    prompts = sum(len(problem.question) for problem in fake_problems(10))
    assert summary["scored_tokens"] <= summary["generated_tokens"] + prompts


def test_a_question_longer_than_the_context_has_no_answer_and_stops_nothing() -> None:
    class Short(FakePolicy):
        def prompt_tokens(self, problem: Problem) -> int:
            return 100 if problem.id == "fake-1" else 10

    policy = Short(accuracy=1.0)
    policy.capabilities = replace(policy.capabilities, context=50)
    records = evaluate(fake_problems(3), TASK.grade, policy=policy, search=cot())
    assert [record.verdict for record in records] == ["correct", "no_answer", "correct"]
    assert "100 tokens" in records[1].failures[0]
    assert summarize(records)["accuracy"] == pytest.approx(2 / 3)
