from pathlib import Path

import pytest
from load_targets import load_limits, write_scenarios

from loadtests.arrivals import BAD_SIGNATURES, DUPLICATES
from loadtests.order import Stream, plans_of
from loadtests.scenarios import SCENARIOS_FILE, Scenario, ScenarioError, read_scenarios

LOAD = load_limits()


def own(name: str) -> Scenario:
    """One of the project's own scenarios."""
    return read_scenarios(SCENARIOS_FILE, LOAD, {})[name]


@pytest.mark.parametrize("name", sorted(read_scenarios(SCENARIOS_FILE, LOAD, {})))
def test_each_of_the_projects_own_can_give_evidence(name: str) -> None:
    """Every scenario plans enough webhooks of each kind that it is about for a pass to be possible."""
    scenario = own(name)
    plan = plans_of(scenario, compared=False)[Stream.CANDIDATE]
    enough = scenario.load.min_samples
    assert plan.counted >= enough
    for share, kinds in ((scenario.duplicates, DUPLICATES), (scenario.bad_signatures, BAD_SIGNATURES)):
        assert plan.count(kinds) >= enough if share else plan.count(kinds) == 0


def test_steady_is_the_shape_that_targets_has() -> None:
    """Its rate, warm-up and duration are [load]'s, and so are its limits."""
    assert own("steady").load == LOAD
    assert own("steady").seconds == LOAD.warmup_s + LOAD.duration_s


def test_gate_scenarios_are_short() -> None:
    """Steady and burst together leave time to wait for replies within 45 s."""
    assert own("steady").seconds + own("burst").seconds <= 32


def test_burst_shows_an_error_in_a_hundred() -> None:
    """Of what arrives at once there is so much that 1.5 % of errors in it alone is above the error rate."""
    burst = own("burst")
    at_once = sum(phase.at_once or 0 for phase in burst.phases)
    total = plans_of(burst, compared=False)[Stream.CANDIDATE].total
    assert int(at_once * 0.015) / total >= burst.load.error_rate


def test_even_scenario_takes_what_is_given(tmp_path: Path) -> None:
    """The caller's rate and duration go before the scenario's own, which go before [load]'s."""
    file = write_scenarios(tmp_path, '[long]\nabout = "x"\nduration_s = 60\nrate_per_s = 5')
    load = read_scenarios(file, LOAD, {"rate_per_s": 7})["long"].load
    assert (load.rate_per_s, load.duration_s, load.warmup_s) == (7, 60, LOAD.warmup_s)


def test_scenario_may_change_single_limits(tmp_path: Path) -> None:
    """What it does not name stays as [load] has it."""
    file = write_scenarios(tmp_path, '[b]\nabout = "x"\nlimits = { webhook_p95_ms = 2000 }')
    assert read_scenarios(file, LOAD, {})["b"].load == LOAD.model_copy(update={"webhook_p95_ms": 2000})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[x", "scenarios.toml: is not TOML"),
        ("x = 1", "scenarios.toml: x: Input should be a valid dictionary"),
        ('["bad name"]\nabout = "x"', "scenarios.toml: bad name.[key]: String should match pattern"),
        ("[x]\nduplicates = 0.1", "scenarios.toml: x.about: Field required"),
        ('[x]\nabout = "x"\nspeed = 3', "scenarios.toml: x.speed: Extra inputs are not permitted, got 3"),
        (
            '[x]\nabout = "x"\nduplicates = 1.5',
            "scenarios.toml: x.duplicates: Input should be less than or equal to 0.9, got 1.5",
        ),
        (
            '[x]\nabout = "x"\nduplicates = 0.5\nbad_signatures = 0.5',
            "scenarios.toml: x: duplicates and bad_signatures leave less than a tenth of new messages",
        ),
        (
            '[x]\nabout = "x"\nphases = [{ at_once = 0 }]',
            "scenarios.toml: x.phases.0.at_once: Input should be greater than or equal to 1, got 0",
        ),
        (
            '[x]\nabout = "x"\nphases = [{ at_once = 5, seconds = 3 }]',
            "scenarios.toml: x.phases.0: at_once stands alone, without seconds",
        ),
        (
            '[x]\nabout = "x"\nphases = [{ rate_per_s = 5 }]',
            "scenarios.toml: x.phases.0: needs either seconds or at_once",
        ),
        (
            '[x]\nabout = "x"\nduration_s = 9\nphases = [{ at_once = 5 }]',
            "scenarios.toml: x: has phases and duration_s: one of them gives the rate",
        ),
        (
            '[x]\nabout = "x"\nlimits = { webhook_p96_ms = 5 }',
            "scenarios.toml: x.limits: should be among answer_timeout_s, error_rate,",
        ),
        (
            '[x]\nabout = "x"\nlimits = { error_rate = 2 }',
            "scenarios.toml: x.limits.error_rate: Input should be less than 1, got 2",
        ),
        (
            '[x]\nabout = "x"\nduration_s = -3',
            "scenarios.toml: x.duration_s: Input should be greater than 0, got -3",
        ),
        (
            '[x]\nabout = "x"\nphases = [{ seconds = inf, rate_per_s = 5 }]',
            "scenarios.toml: x.phases.0.seconds: Input should be a finite number, got inf",
        ),
    ],
)
def test_wrong_scenario_is_named_with_key_and_value(text: str, line: str, tmp_path: Path) -> None:
    """An operator mends the file from the message alone."""
    with pytest.raises(ScenarioError) as refused:
        read_scenarios(write_scenarios(tmp_path, text), LOAD, {})
    assert str(refused.value).startswith(line)


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    """Also those of several scenarios."""
    text = '[x]\nabout = "x"\nlimits = { error_rate = 2 }\n[y]\nabout = "y"\nlimits = { late_ms = 0 }'
    with pytest.raises(ScenarioError) as refused:
        read_scenarios(write_scenarios(tmp_path, text), LOAD, {})
    assert len(str(refused.value).splitlines()) == 2
