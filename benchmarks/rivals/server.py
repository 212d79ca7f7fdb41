"""The model that both sides of a comparison are served by: one OpenAI-compatible endpoint, one scorer, and counters.

    python -m benchmarks.rivals.server --port 8123 [--model bundled] [--scorer process]

- POST /v1/chat/completions: `messages` (a user turn, and an assistant turn to continue where `continue_final_message`
  is set), `n`, `stop`, `include_stop_str_in_output`, `temperature`, `seed`, `max_completion_tokens`, `logprobs`. As
  with vLLM, `stop_reason` tells a stop string from the end of the solution.
- POST /score: process values of answers to one question each. `incremental` lets the scorer keep what it has read;
  without it every answer passes through the model whole, as with vLLM's STEP pooling, which turns prefix caching off.
  (Within one such request common beginnings are still computed once, to the rival's advantage in time; they are counted
  in full.)
- GET /counters, POST /reset: requests, continuations, generated tokens, those of them that had to be computed, score
  requests, scored tokens. A reset also empties the caches.

Binds to loopback. The engine batches the requests of all clients token by token, and decodes copies of one beginning,
whoever asked for them, as one for as long as they draw the same tokens.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import asdict, dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import reason
from reason.types import Finish, Path, Problem, Sampling, Step, Until

SOLUTION_TOKENS = 160


@dataclass
class Counters:
    """What has been asked for since the last reset."""

    requests: int = 0
    continuations: int = 0
    empty: int = 0
    generated_tokens: int = 0
    computed_tokens: int = 0
    score_requests: int = 0
    scored_paths: int = 0
    scored_tokens: int = 0


class Service:
    """The policy, the scorer and the counters."""

    def __init__(self, model: str, scorer: str) -> None:
        self.policy: Any = reason.load(model)
        self.scorer: Any = reason.load_scorer(scorer, policy=self.policy)
        self.counters = Counters()
        self.seeds = itertools.count(1)

    async def chat(self, request: Request) -> JSONResponse:
        """One chat request: n continuations."""
        asked = await request.json()
        texts, copies = [turn["content"] for turn in asked["messages"]], int(asked.get("n") or 1)
        prefix = texts[-1] if asked["messages"][-1]["role"] == "assistant" else ""
        question = next(turn["content"] for turn in asked["messages"] if turn["role"] == "user")
        stop = asked.get("stop") or ()
        path = self._path(question, prefix)
        first = asked.get("seed")
        seeds = [next(self.seeds) if first is None else first + index for index in range(copies)]
        sampling = Sampling(
            temperature=0.8 if asked.get("temperature") is None else asked["temperature"],
            max_tokens=min(SOLUTION_TOKENS, asked.get("max_completion_tokens") or SOLUTION_TOKENS),
            max_step_tokens=SOLUTION_TOKENS,
            step_end=(stop,) if isinstance(stop, str) else tuple(stop),
            until=Until.STEP if stop else Until.END,
        )
        steps = await self.policy.extend([path.seeded(seed) for seed in seeds], sampling)
        self.counters.requests += 1
        self.counters.continuations += copies
        self.counters.empty += sum(not step.text for step in steps)
        self.counters.generated_tokens += sum(len(step.token_ids) for step in steps)
        self.counters.computed_tokens += sum(len(step.token_ids) - step.shared for step in steps)
        keep = asked.get("include_stop_str_in_output", False)
        choices = [self._choice(index, step, sampling.step_end, keep) for index, step in enumerate(steps)]
        if asked.get("logprobs"):
            for choice, step in zip(choices, steps, strict=True):
                choice["logprobs"] = {"content": [{"logprob": value} for value in step.logprobs]}
        usage = {"prompt_tokens": 0, "completion_tokens": sum(len(step.token_ids) for step in steps)}
        return JSONResponse({"object": "chat.completion", "choices": choices, "usage": usage})

    def _path(self, question: str, text: str) -> Path:
        problem = Problem(question, question)
        ids = tuple(self.policy.tokenizer.encode(text, add_special_tokens=False)) if text else ()
        return Path(problem, (Step(text, ids),) if text else ())

    @staticmethod
    def _choice(index: int, step: Step, ends: tuple[str, ...], keep: bool) -> dict[str, Any]:
        hit = next((end for end in ends if step.finish is Finish.STEP and step.text.endswith(end)), None)
        text = step.text if keep or hit is None else step.text.removesuffix(hit)
        reason_given = "length" if step.finish is Finish.LENGTH else "stop"
        return {
            "index": index,
            "message": {"role": "assistant", "content": text},
            "finish_reason": reason_given,
            "stop_reason": hit,
        }

    async def score(self, request: Request) -> JSONResponse:
        """The value of each answer: its last line's."""
        asked = await request.json()
        paths = [answer_path(question, text) for question, text in asked["items"]]
        self.counters.score_requests += 1
        self.counters.scored_paths += len(paths)
        if asked.get("incremental"):
            scores = await self.scorer.judge(paths)
            self.counters.scored_tokens += sum(score.tokens for score in scores)
        else:
            self.scorer._reader._prefix.clear()
            scores = await self.scorer.judge(paths)
            self.counters.scored_tokens += sum(self.scorer.count_tokens(path) for path in paths)
        return JSONResponse({"scores": [score.value if score.scored else 0.0 for score in scores]})

    async def read(self, _: Request) -> JSONResponse:
        """The counters."""
        return JSONResponse(asdict(self.counters))

    async def reset(self, _: Request) -> JSONResponse:
        """Counters to zero, caches empty."""
        self.counters = Counters()
        self.scorer._reader._prefix.clear()
        self.policy.engine.prefixes.clear()
        return JSONResponse({})


def answer_path(question: str, text: str) -> Path:
    """An answer as a path of lines, complete if its last line gives the answer."""
    lines = text.splitlines(keepends=True)
    ended = bool(lines) and lines[-1].startswith("Answer:")
    steps = [Step(line, finish=Finish.STOP if ended and line is lines[-1] else Finish.STEP) for line in lines]
    return Path(Problem(question, question), tuple(steps))


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--scorer", default="process")
    given = parser.parse_args()
    service = Service(given.model, given.scorer)
    routes = [
        Route("/v1/chat/completions", service.chat, methods=["POST"]),
        Route("/score", service.score, methods=["POST"]),
        Route("/counters", service.read),
        Route("/reset", service.reset, methods=["POST"]),
    ]
    uvicorn.run(Starlette(routes=routes), host="127.0.0.1", port=given.port, log_level="error")


if __name__ == "__main__":
    main()
