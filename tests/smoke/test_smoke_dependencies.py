"""A release answers for itself: what it depends on may be as bad for it as for the live release."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from reference_flaws import Flaws
from reference_target import running
from smoke_limits import NEVER_TOLD, NO_REPLY, limits_file
from smoke_runs import Run, smoke

from contracts.gate_lane import ACKNOWLEDGEMENT, FALLBACK
from contracts.health import SERVICES
from smoke.checks import SHORT, check_name

HEALTH = "health is healthy"
MODEL = "the model answers"
CRITICAL = ("database", "redis", "waha")
OTHERS = tuple(service for service in SERVICES if service not in CRITICAL)
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def targets() -> Iterator[ExitStack]:
    """What keeps the targets of this module running."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def healthy(targets: ExitStack) -> str:
    """A live release for which all is up."""
    return targets.enter_context(running(Flaws()))


def health(candidate: Flaws, limits: Path, folder: Path, *more: str) -> Run:
    """Run the checks of health, and what is asked for with *more*."""
    with running(candidate) as url:
        return smoke(url, limits, folder, "-k", "test_health_", *more)


def refused(*services: str) -> set[str]:
    """The checks that refuse a release for these services."""
    return {HEALTH, *(f"health of {service}" for service in services)}


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_down_for_the_live_release_too_refuses_nothing(
    limits: Path, tmp_path: Path, service: str
) -> None:
    """Whatever it is; that it is down is recorded, and said."""
    with running(Flaws(finds_down=(service,))) as live:
        run = health(Flaws(finds_down=(service,)), limits, tmp_path, "--baseline", live)
    assert run.not_passed == [], run.output
    check = run.check(f"health of {service}")
    assert (check.value, check.detail) == ("down", "the live release says the same")
    assert f"health of {service}: pass: down" in run.output


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_down_for_the_candidate_alone_refuses_it(tmp_path: Path, healthy: str, service: str) -> None:
    """A wrong key or address of its own, for example."""
    hasty = limits_file(tmp_path, NEVER_TOLD)
    run = health(Flaws(finds_down=(service,)), hasty, tmp_path, "--baseline", healthy)
    assert set(run.not_passed) == refused(service), run.output
    assert run.check(f"health of {service}").detail.startswith("the live release finds it ")


def test_what_is_worse_for_the_live_release_refuses_nothing(limits: Path, tmp_path: Path) -> None:
    """It may be the reason for the new one."""
    with running(Flaws(finds_down=("database", "sentry"))) as live:
        run = health(Flaws(finds_down=("sentry",)), limits, tmp_path, "--baseline", live)
    assert run.not_passed == [], run.output


def test_a_database_that_is_never_asked_is_not_like_one_that_is_down(tmp_path: Path) -> None:
    """One may come back, the other cannot be told from a wrong address."""
    hasty = limits_file(tmp_path, NEVER_TOLD)
    with running(Flaws(finds_down=("database",))) as live:
        run = health(Flaws(only_configures_its_database=True), hasty, tmp_path, "--baseline", live)
    assert run.not_passed == ["health of database"], run.output


def test_a_moment_is_no_difference(limits: Path, tmp_path: Path, healthy: str) -> None:
    """Both are asked again before the candidate is refused for what the live release does not see."""
    run = health(Flaws(finds_down_at_first=("database",)), limits, tmp_path, "--baseline", healthy)
    assert run.not_passed == [], run.output
    assert run.check("health of database").value == "up"


@pytest.mark.parametrize("baseline", [(), ("--baseline", NOWHERE)], ids=["no live release", "a dead one"])
def test_without_a_live_release_only_what_no_message_can_do_without_refuses(
    tmp_path: Path, baseline: tuple[str, ...]
) -> None:
    """The rest is recorded."""
    limits = limits_file(tmp_path, NEVER_TOLD)
    run = health(Flaws(finds_down=SERVICES), limits, tmp_path, *baseline)
    assert set(run.not_passed) == refused(*CRITICAL), run.output
    run = health(Flaws(finds_down=OTHERS), limits, tmp_path, *baseline)
    assert run.not_passed == [], run.output
    assert run.check(HEALTH).value == "200 degraded"
    for service in OTHERS:
        check = run.check(f"health of {service}")
        assert (check.value, check.detail) == ("down", "no reason to refuse a release")


def test_the_short_form_asks_for_no_dependency(limits: Path, tmp_path: Path) -> None:
    """A rollback when all the world is down: it is up, answers, and refuses a forgery."""
    with running(Flaws(finds_down=SERVICES)) as url:
        run = smoke(url, limits, tmp_path, "--short")
    assert (run.exit_code, run.not_passed) == (0, []), run.output
    assert set(run.passed) == {check_name(test) for test in SHORT}


def test_the_short_form_compares_where_it_can(limits: Path, tmp_path: Path, healthy: str) -> None:
    """With the live release at hand it refuses what is worse, and nothing that is not."""
    with running(Flaws(finds_down=SERVICES)) as url:
        assert smoke(url, limits, tmp_path, "--short", "--baseline", url).exit_code == 0
        hasty = limits_file(tmp_path, NEVER_TOLD)
        run = smoke(url, hasty, tmp_path, "--short", "--baseline", healthy)
        assert set(run.not_passed) == refused(*SERVICES), run.output
        dead = smoke(url, limits, tmp_path, "--short", "--baseline", NOWHERE)
        assert (dead.exit_code, dead.not_passed) == (0, []), dead.output


def test_the_truth_about_a_database_that_is_down_for_both_is_told(limits: Path, tmp_path: Path) -> None:
    """It cannot be taken away; it is said to be down, and nothing is set at the sandbox."""
    with running(Flaws(finds_down=("database",))) as url:
        given = ("--faults-url", NOWHERE, "-k", "truth")
        run = smoke(url, limits, tmp_path, "--baseline", url, *given)
        assert run.passed == ["health tells the truth"], run.output
        assert smoke(url, limits, tmp_path, *given).not_passed == ["health tells the truth"]


def model(candidate: str, limits: Path, folder: Path, *more: str) -> Run:
    """Run the check of the model, where this is what the candidate's says."""
    with running(Flaws(models_answer=candidate)) as url:
        return smoke(url, limits, folder, "-k", "model_answers", *more)


def test_without_a_model_that_is_said(limits: Path, tmp_path: Path) -> None:
    """There is nothing that could fail, unless the live release has one that answers."""
    with running(Flaws(models_answer=ACKNOWLEDGEMENT)) as none, running(Flaws(models_answer=FALLBACK)) as bad:
        for baseline in ((), ("--baseline", none), ("--baseline", bad), ("--baseline", NOWHERE)):
            run = model(ACKNOWLEDGEMENT, limits, tmp_path, *baseline)
            assert run.passed == [MODEL], run.output
            assert f"{MODEL}: pass: no model is configured" in run.output


def test_a_model_that_was_lost_refuses(limits: Path, tmp_path: Path, healthy: str) -> None:
    """The live release has one that answers: that the address is missing may be a slip."""
    run = model(ACKNOWLEDGEMENT, limits, tmp_path, "--baseline", healthy)
    assert run.not_passed == [MODEL], run.output
    assert run.check(MODEL).detail.endswith("The live release: a text of the model")


@pytest.mark.parametrize("answer", [FALLBACK, ""], ids=["the fallback", "nothing"])
def test_a_model_that_fails_for_both_refuses_nothing(tmp_path: Path, healthy: str, answer: str) -> None:
    """One that fails for the candidate alone does: its key or its address are wrong."""
    limits = limits_file(tmp_path, None if answer else NO_REPLY)
    with running(Flaws(models_answer=FALLBACK)) as live:
        run = model(answer, limits, tmp_path, "--baseline", live)
    assert run.passed == [MODEL], run.output
    assert run.check(MODEL).detail == "the live release gets none either"
    assert model(answer, limits, tmp_path, "--baseline", healthy).not_passed == [MODEL]


@pytest.mark.parametrize("answer", [FALLBACK, ""], ids=["the fallback", "nothing"])
@pytest.mark.parametrize(
    "flaws",
    [Flaws(takes_only="the one before"), Flaws(has_no_gate_lane=True)],
    ids=["401", "no replies"],
)
def test_a_live_release_that_cannot_be_asked_excuses_no_model(
    tmp_path: Path, answer: str, flaws: Flaws
) -> None:
    """It may have one that answers: the candidate is judged alone."""
    limits = limits_file(tmp_path, None if answer else NO_REPLY)
    with running(flaws) as live:
        run = model(answer, limits, tmp_path, "--baseline", live)
    assert run.not_passed == [MODEL], run.output


@pytest.mark.parametrize("answer", [FALLBACK, ""], ids=["the fallback", "nothing"])
def test_a_dead_live_release_can_be_replaced_while_the_model_is_away(tmp_path: Path, answer: str) -> None:
    """It has no model that answers, whatever the reason: the outage is not to last until it is back."""
    run = model(answer, limits_file(tmp_path, None if answer else NO_REPLY), tmp_path, "--baseline", NOWHERE)
    assert run.not_passed == [], run.output


def test_a_live_release_is_asked_with_its_own_secret(limits: Path, tmp_path: Path) -> None:
    """After a rotation it takes no other one."""
    own = {"WAHA_WEBHOOK_SECRET_BASELINE": "the one before"}
    before = Flaws(models_answer=FALLBACK, takes_only=own["WAHA_WEBHOOK_SECRET_BASELINE"])
    with running(before) as live, running(Flaws(models_answer=FALLBACK)) as candidate:
        run = smoke(candidate, limits, tmp_path, "-k", "model_answers", "--baseline", live, **own)
    assert run.passed == [MODEL], run.output


def test_what_a_fallback_says_elsewhere_is_a_text_like_any_other(limits: Path, tmp_path: Path) -> None:
    """A model's own words pass, whatever they are."""
    assert model("I cannot answer that.", limits, tmp_path).passed == [MODEL]
