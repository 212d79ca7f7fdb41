"""Our side of a comparison: a policy and a scorer that speak to `benchmarks.rivals.server` over HTTP.

Both hold one pooled client. Copies of one path go as one request with `n`; the scorer lets the server keep what it has
read. A server gives text without token ids, so costs are read from its counters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import aiohttp

from reason.types import Capabilities, Finish, Path, Sampling, Score, Step, Until


class Client:
    """One pooled HTTP client, in use while its context is open: aiohttp's, as the rival's.

    (httpx looks through all its connections at every request: with 256 of them it takes most of the time.)
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._session: aiohttp.ClientSession | None = None

    async def post(self, path: str, content: Any) -> dict[str, Any]:
        """The reply to a JSON request."""
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        async with self._session.post(self.url + path, json=content) as reply:
            reply.raise_for_status()
            return await reply.json()  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Close its connections."""
        if self._session is not None:
            await self._session.close()


class ServedPolicy:
    """Continues partial answers through a chat endpoint."""

    capabilities = Capabilities("served", partial=True, logprobs=True)

    def __init__(self, client: Client, step_end: str = "\n") -> None:
        self._client, self._step_end = client, step_end

    def count_tokens(self, text: str) -> int:
        """Unknown here; the server's counters tell."""
        return 0

    async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
        """One continuation per path; equal paths share a request."""
        families: dict[tuple[str, str], list[int]] = {}
        for index, path in enumerate(paths):
            families.setdefault((path.problem.question, path.text), []).append(index)
        steps: list[Step] = [Step("")] * len(paths)

        async def ask(question: str, text: str, members: list[int]) -> None:
            for index, step in zip(
                members, await self._ask(question, text, paths[members[0]].seed, len(members), sampling), strict=True
            ):
                steps[index] = step

        await asyncio.gather(*(ask(*family, members) for family, members in families.items()))
        return steps

    async def _ask(self, question: str, text: str, seed: int, copies: int, sampling: Sampling) -> list[Step]:
        turns = [{"role": "user", "content": question}]
        body: dict[str, Any] = {
            "model": "served",
            "messages": turns,
            "n": copies,
            "temperature": sampling.temperature,
            "seed": seed >> 11,
            "logprobs": True,
        }
        if text:
            turns.append({"role": "assistant", "content": text})
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        if sampling.until is Until.STEP:
            body |= {"stop": self._step_end, "include_stop_str_in_output": True}
        reply = await self._client.post("/v1/chat/completions", body)
        return [_step(choice) for choice in reply["choices"]]


def _step(choice: dict[str, Any]) -> Step:
    ends = {"length": Finish.LENGTH, "stop": Finish.STEP if choice["stop_reason"] else Finish.STOP}
    logprobs = tuple(token["logprob"] for token in choice["logprobs"]["content"])
    return Step(choice["message"]["content"], (), logprobs, ends[choice["finish_reason"]])


class ServedScorer:
    """Process values from the server, which keeps what it has read."""

    name, parameters = "served", 0

    def __init__(self, client: Client) -> None:
        self._client = client

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """The value of each path: its last line's."""
        items = [(path.problem.question, path.text) for path in paths]
        reply = await self._client.post("/score", {"items": items, "incremental": True})
        return [Score(value) for value in reply["scores"]]
