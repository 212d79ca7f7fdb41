import json

import pytest

torch = pytest.importorskip("torch")

from reason.training.loop import Schedule, fit  # noqa: E402


def losses_of(folder):
    return [(row["step"], row["loss"]) for row in map(json.loads, (folder / "log.jsonl").read_text().splitlines())]


def problem(model):
    def loss_at(step):
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(8, 4, generator=generator)
        return {"loss": ((model(x) - x.sum(1, keepdim=True)) ** 2).mean()}

    return loss_at


def new_model():
    torch.manual_seed(0)
    return torch.nn.Linear(4, 1)


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    schedule = Schedule(40, lr=0.05, warmup=5)
    whole = new_model()
    fit(whole, problem(whole), schedule, tmp_path / "whole", save_every=10, log_every=1)

    class Stop(Exception):
        pass

    halted = new_model()
    inner = problem(halted)

    def until_27(step):
        if step == 27:
            raise Stop
        return inner(step)

    with pytest.raises(Stop):
        fit(halted, until_27, schedule, tmp_path / "halted", save_every=10, log_every=1)
    resumed = new_model()
    fit(resumed, problem(resumed), schedule, tmp_path / "halted", save_every=10, log_every=1)
    assert torch.equal(whole.weight, resumed.weight)
    assert dict(losses_of(tmp_path / "whole")) == dict(losses_of(tmp_path / "halted"))
    assert losses_of(tmp_path / "whole")[-1][1] < losses_of(tmp_path / "whole")[0][1] / 10


def test_the_schedule_warms_up_holds_and_decays_to_zero():
    schedule = Schedule(100, lr=1.0, warmup=10, decay=0.5)
    rates = [schedule.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10:50] == [1.0] * 40
    assert rates[99] == pytest.approx(1 / 50)
    assert rates == sorted(rates[:10]) + rates[10:50] + sorted(rates[50:], reverse=True)
