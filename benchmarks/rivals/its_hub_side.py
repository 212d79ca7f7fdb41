"""The rival's side: its-hub 1.2.0 as its own documentation uses it, in its own virtual environment.

    python its_hub_side.py URL ALGORITHM N {infer|gather} < questions.json > answers.json

`infer` answers one question after another, as the README shows; `gather` awaits `ainfer` of all questions at once.
"""

import asyncio
import json
import logging
import random
import sys
import time
import warnings

import aiohttp
from its_hub import BestOfN, OpenAICompatibleLanguageModel, SelfConsistency
from its_hub.api import AbstractOutcomeRewardModel, AbstractProcessRewardModel
from its_hub.core.algorithms.beam_search import BeamSearch
from its_hub.core.algorithms.particle_gibbs import ParticleFiltering
from its_hub.core.algorithms.self_consistency import create_regex_projection_function
from its_hub.core.lms.step_generation import StepGeneration

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
TEMPERATURE = 0.8


class Scores(AbstractProcessRewardModel, AbstractOutcomeRewardModel):
    """The served process values; an outcome's is its last step's."""

    def __init__(self, url):
        self.url = url
        self._sessions = {}

    async def _values(self, items):
        url, content = self.url + "/score", {"items": items}
        async with aiohttp.ClientSession() as session, session.post(url, json=content) as reply:
            return (await reply.json())["scores"]

    def score(self, *arguments, **options):
        return asyncio.run(self.ascore(*arguments, **options))

    async def ascore(self, prompt, responses=None, orchestrator=None, **_):
        if responses is not None:
            question = prompt if isinstance(prompt, str) else prompt.to_prompt()
            return await self._values([(question, text) for text in responses])
        return await self._values([(turns[0].content, turns[-1].content) for turns in prompt])


def algorithm_of(name, scores):
    steps = StepGeneration(
        max_steps=32, step_token="\n", stop_token="Answer:", temperature=TEMPERATURE, include_stop_str_in_output=True
    )
    if name == "self_consistency":
        return SelfConsistency(create_regex_projection_function(r"Answer:\s*(\S+)"))
    if name == "best_of_n":
        return BestOfN(orm=scores)
    if name == "beam":
        return BeamSearch(steps, scores, beam_width=4)
    return ParticleFiltering(steps, scores)


def main():
    url, name, n, how = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    questions = json.load(sys.stdin)
    random.seed(0)
    lm = OpenAICompatibleLanguageModel(url + "/v1", "none", "served", temperature=TEMPERATURE)
    algorithm = algorithm_of(name, Scores(url))
    began = time.perf_counter()
    if how == "infer":
        results = [algorithm.infer(lm, question, budget=n, return_response_only=False) for question in questions]
    else:

        async def everything():
            asked = (algorithm.ainfer(lm, question, n, return_response_only=False) for question in questions)
            try:
                return await asyncio.gather(*asked)
            finally:
                await lm.close()

        results = asyncio.run(everything())
    seconds = time.perf_counter() - began
    answers = [
        {"text": result.the_one["content"], "all": [response["content"] for response in result.responses]}
        for result in results
    ]
    json.dump({"seconds": seconds, "answers": answers}, sys.stdout)


if __name__ == "__main__":
    main()
