from __future__ import annotations

from typing import Any

import pytest
from engine_events import diagnostic, done, event, failed, outputs, pre, urn

from runbook.progress import Progress


def shown(capsys: pytest.CaptureFixture[str], *events: dict[str, Any], planned: bool = False) -> list[str]:
    """The lines that an operation with *events* shows; each look at the clock is half a second later."""
    tell(Progress(planned=planned, clock=iter([0.5 * tick for tick in range(100)]).__next__), *events)
    return capsys.readouterr().err.splitlines()


def tell(progress: Progress, *events: dict[str, Any]) -> Progress:
    """Hand *events* to *progress*."""
    with progress:
        for data in events:
            progress(event(data))
    return progress


@pytest.mark.parametrize(
    ("op", "word"), [("create", "created"), ("update", "updated"), ("delete", "deleted")]
)
def test_a_change_is_one_line_with_its_time(op: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """When it has ended, not when it begins."""
    assert shown(capsys, pre(op, "web-1")) == []
    assert shown(capsys, pre(op, "web-1"), done(op, "web-1")) == [f"  {word} web-1 (0.5 s)"]


REPLACEMENT = ["create-replacement", "replace", "delete-replaced"]


@pytest.mark.parametrize("ops", [REPLACEMENT, REPLACEMENT[::-1]], ids=["create first", "delete first"])
@pytest.mark.parametrize(("planned", "line"), [(False, "  replaced web-1"), (True, "  would replace web-1")])
def test_a_replacement_is_one_line(
    ops: list[str], planned: bool, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The engine takes three steps for it; they are one change, in a preview too."""
    steps = [make(op, "web-1") for op in ops for make in (pre, done)]
    assert [each.partition(" (")[0] for each in shown(capsys, *steps, planned=planned)] == [line]


@pytest.mark.parametrize("op", ["create", "update", "delete"])
def test_a_preview_says_what_would_be(op: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a time, since nothing was done."""
    assert shown(capsys, pre(op, "web-1"), done(op, "web-1"), planned=True) == [f"  would {op} web-1"]


@pytest.mark.parametrize("op", ["same", "read", "refresh", "discard"])
def test_what_does_not_change_is_not_shown(op: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An update with nothing to do is silent."""
    assert shown(capsys, pre(op, "web-1"), done(op, "web-1")) == []


@pytest.mark.parametrize("kind", ["runbook:infra:Release", "pulumi:pulumi:Stack", "pulumi:providers:docker"])
def test_what_only_holds_others_is_not_shown(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Components, the stack itself and providers are no things on the engine."""
    assert shown(capsys, pre("create", "it", kind), done("create", "it", kind)) == []


@pytest.mark.parametrize("planned", [False, True])
def test_an_image_that_only_the_state_forgets_is_not_shown(
    planned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """The engine keeps it: `rollback` may need it."""
    image = "docker:index/remoteImage:RemoteImage"
    made = [pre("create", "image-r-2", image), done("create", "image-r-2", image)]
    gone = [pre("delete", "image-r-1", image), done("delete", "image-r-1", image)]
    (line,) = shown(capsys, *made, *gone, planned=planned)
    assert "image-r-2" in line


def test_names_and_number_of_changes_are_kept() -> None:
    """For whoever asks afterwards whether there was anything to do."""
    steps = [
        pre("create", "a"),
        pre("create", "b"),
        done("create", "b"),
        done("create", "a"),
        pre("same", "c"),
    ]
    assert tell(Progress(), *steps).changed == ["b", "a"]


def test_a_failed_step_is_no_change(capsys: pytest.CaptureFixture[str]) -> None:
    """What was begun and failed is in the error, not among what was done."""
    progress = tell(Progress(), pre("create", "web-1"), failed("create", "web-1"), done("create", "web-1"))
    assert progress.changed == []


def test_the_outputs_of_the_stack_are_kept() -> None:
    """They spare a run of the CLI."""
    assert tell(Progress(), outputs({"url": "http://x"})).outputs == {"url": "http://x"}


def test_containers_that_should_run_are_known_by_id() -> None:
    """Those that are made or stay; not those that go, nor those that only put files into a volume."""
    here = [done(op, name, id=name, inputs=inputs) for op, name, inputs in CONTAINERS]
    assert tell(Progress(), *here, done("delete", "old")).must_run == {"new": "r-1", "kept": ""}


def test_of_a_replaced_container_the_new_one_should_run() -> None:
    """Its steps tell of the old one too."""
    steps = [
        done("delete-replaced", "sandbox", id="before"),
        done("replace", "sandbox", id="before"),
        done("create-replacement", "sandbox", id="after"),
    ]
    assert tell(Progress(), *steps).must_run == {"after": ""}


CONTAINERS = [
    ("create", "new", {"labels": [{"label": "runbook.release", "value": "r-1"}]}),
    ("same", "kept", {"mustRun": True}),
    ("same", "seed", {"mustRun": False}),
]


def test_colours_are_taken_off(capsys: pytest.CaptureFixture[str]) -> None:
    """The engine's markup is not for people."""
    message = "<{%fg 13%}><{%bold%}>gate: smoke<{%reset%}> [1/2]"
    assert shown(capsys, diagnostic("info#err", message)) == ["  gate: smoke [1/2]"]


def test_a_warning_says_that_it_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    """It is shown at once, and stops nothing."""
    assert shown(capsys, diagnostic("warning", "old API")) == ["  warning: old API"]


def test_what_was_only_for_the_moment_is_not_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """Ephemeral messages are the engine's own progress."""
    assert shown(capsys, diagnostic("info", "Pulling…", ephemeral=True), diagnostic("info", " ")) == []


def test_errors_are_kept_until_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Several, in their order, each once; that it failed at all goes without saying."""
    progress = tell(
        Progress(),
        diagnostic("error", "first"),
        diagnostic("error", "second\n  with a line more"),
        diagnostic("error", "first"),
        diagnostic("error", "update failed"),
    )
    assert progress.why == "first\nsecond\n  with a line more"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (f"creating {urn('web-1')}: 1 error occurred:\n\t* no such image\n\n", "no such image"),
        (f"updating {urn('live')}: 1 error occurred:\n\t* no: a: b", "no: a: b"),
        (f"deleting {urn('x')}: it is in use", "it is in use"),
        (f"creating {urn('x')} 1 error occurred:\n\t* plain", "plain"),
        ("2 errors occurred:\n\t* a\n\t* b", "2 errors occurred:\n\t* a\n\t* b"),
        ("gate: creating urn: is fine", "gate: creating urn: is fine"),
    ],
)
def test_the_engines_frame_is_taken_off(message: str, why: str) -> None:
    """What the provider said remains, whole."""
    assert tell(Progress(), diagnostic("error", message)).why == why


TRACEBACK = """Exception calling application: Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/grpc/_server.py", line 610, in _call_behavior
    response_or_iterator = behavior(argument, context)
  File "infra/dynamic/route.py", line 33, in create
    raise KeyError("servers")
KeyError: 'servers'
"""


def test_a_traceback_is_its_end() -> None:
    """What went wrong and where, in one line."""
    why = tell(Progress(), diagnostic("error", TRACEBACK)).why
    assert why == "Exception calling application: KeyError: 'servers' (infra/dynamic/route.py, line 33)"


def test_a_traceback_without_frames_is_still_words() -> None:
    """Half a traceback must not be the next error."""
    assert tell(Progress(), diagnostic("error", "Traceback (most recent call last):")).why == ""
    why = tell(Progress(), diagnostic("error", "Traceback (most recent call last):\nSystemExit: 3")).why
    assert why == "SystemExit: 3"
