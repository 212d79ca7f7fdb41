"""Particle filtering over steps: solutions sampled from the policy's distribution tilted towards a scorer's.

Puri et al. 2502.01618 and its implementation its-hub; twisted sequential Monte Carlo for language models, Zhao et al.
2404.17546 and Feng et al. 2410.01920. The log-potential g of a value v is log(v / (1 - v)) / temperature. n particles
begin at the root; on every level

1. each open one is extended by a step of its own, and what is new is judged;
2. its weight is multiplied by exp(g), or with `target="last"` by what its potential gained, exp(g_t - g_(t-1));
3. if the effective sample size falls below ess · n, n are drawn in proportion to weight and get equal weights.

The weighted particles at the end estimate p(x) times the potentials of all steps of x, p the policy, over whole
solutions x: the state-space model of Puri et al. With `target="last"` they estimate p(x) exp(g(x)): the policy times
the odds that the solution is right, at temperature 1. A finished particle stays in the population with its weight; it
is never extended, and copies of it cost nothing.

With tempering c, weights count to the power 1 - c ** level until the end, so that early values decide less.

Deviations: its-hub resamples on every level, as ess 1 does; below that, weights are carried from one resampling to the
next. The default temperature is 1/2: process scores are seldom as sure as they should be (measured). Solutions that
resampling dropped remain candidates, since they were paid for: they take part in "naive" and count nothing
in "weighted" and "majority". An unscored step leaves a weight as it was; a failed one ends its particle (where all
failed, the answer is read from the steps before). With a falling aggregation (min, product) and "naive", it ends when
no open particle can beat the pool. Resampling is seeded by the problem and everything sampled so far. `novelty` buys
fewer tokens with a little bias; an engine that computes equal copies as one (`reason.policies.lanes`) does not need it.
"""

from __future__ import annotations

from reason.search.population import Population, Rules, check_rules
from reason.search.strategy import PARTIAL, SCORER, Strategy, at_least
from reason.types import Problem, UsageError
from reason.work import SearchRun


def particles(
    n: int = 16,
    *,
    resample: str = "systematic",
    ess: float = 1.0,
    temperature: float = 0.5,
    tempering: float = 0.0,
    target: str = "all",
    potential: str = "odds",
    aggregate: str | None = None,
    select: str = "naive",
    max_steps: int = 64,
    novelty: float = 0.0,
) -> Strategy:
    """Particle filtering with n particles.

    Args:
        n: Particles: the budget in whole solutions.
        resample: "systematic", "stratified", "residual" or "multinomial"; see `reason.search.resampling`.
        ess: Resample when the effective sample size is below this share of n: 0 never does, 1 on every level.
        temperature: Divides log-potentials: high values trust the policy, low ones the scorer.
        tempering: The power of the weights on level t is 1 - tempering ** t, and 1 at the end; 0: always 1.
        target: "last": solutions are weighed by their value; "all": by the product over the values of all their steps.
        potential: Log-potential of a value v: "odds", log(v / (1 - v)); "probability", log(v); "reward", v itself, for
            scorers whose values are no probabilities.
        aggregate: How step values become a path's value ("last", "min", "product", "mean"); None: as the scorer does.
        select: "naive" takes the best-valued solution, "weighted" the answer with the greatest weight of particles,
            "majority" the answer of most particles at the end, each copy counted.
        max_steps: Levels at most.
        novelty: Copies of a path are extended only while the chance that a step is new is at least this; the copies
            left over share the steps that were sampled, in proportion to their probabilities (untempered; where they
            are unknown, to how often a step came, which is rough). 0: each its own.

    Raises:
        UsageError: An argument is out of range.
    """
    at_least("n", n)
    rules = check_rules(
        Rules(resample, ess, temperature, tempering, target, potential, aggregate, select, max_steps, novelty)
    )

    def run(problem: Problem) -> SearchRun:
        population = Population(problem, rules)
        yield from population.sweep(n, ())
        return population.outcome()

    return Strategy("particles", run, frozenset({SCORER, PARTIAL}))


def particle_gibbs(
    n: int = 16,
    *,
    iterations: int | None = None,
    keep: int = 1,
    resample: str = "systematic",
    ess: float = 1.0,
    temperature: float = 0.5,
    tempering: float = 0.0,
    target: str = "all",
    potential: str = "odds",
    aggregate: str | None = None,
    select: str = "naive",
    max_steps: int = 64,
    novelty: float = 0.0,
) -> Strategy:
    """Particle Gibbs: particle filters in a row, each with trajectories kept from the one before.

    Andrieu, Doucet and Holenstein 2010, as in its-hub. After each filter `keep` particles are drawn by weight; in the
    next one they take their steps again, which costs nothing, are resampled at least once each and compete with its
    new particles. With keep 1 the kept particle is a Markov chain whose stationary distribution is the filter's target,
    however few the particles (resampling is conditional on its survival); with more, as in its-hub, that holds only
    approximately, and with 0 the filters are independent. Vote weights are the mean over the iterations.

    Args:
        n: New particles of all iterations together: the budget in whole solutions.
        iterations: Filters in a row, n at most; they share n evenly. None: 2, or n if that is less.
        keep: Particles kept from one to the next.
        resample, ess, temperature, tempering, target, potential, aggregate, select, max_steps, novelty: As in
            `particles`.

    Raises:
        UsageError: An argument is out of range.
    """
    at_least("n", n)
    iterations = at_least("iterations", min(2, n) if iterations is None else iterations)
    if iterations > n:
        raise UsageError(
            f"iterations={iterations} with n={n}: each needs a particle; pass iterations={n} or a larger n"
        )
    at_least("keep", keep, 0)
    rules = check_rules(
        Rules(resample, ess, temperature, tempering, target, potential, aggregate, select, max_steps, novelty)
    )
    sizes = [n // iterations + (index < n % iterations) for index in range(iterations)]

    def run(problem: Problem) -> SearchRun:
        population = Population(problem, rules)
        for index, size in enumerate(sizes):
            yield from population.sweep(size, population.drawn(keep) if index else ())
            if population.cut:
                break
        return population.outcome()

    return Strategy("particle_gibbs", run, frozenset({SCORER, PARTIAL}))
