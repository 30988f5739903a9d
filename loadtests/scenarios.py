"""The shapes of load in `scenarios.toml`: typed, complete, and refused as a whole when one is wrong."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from contracts.targets import Load

SCENARIOS_FILE = Path(__file__).resolve().parent / "scenarios.toml"
STEADY = "steady"
_EVEN = ("rate_per_s", "warmup_s", "duration_s")
"""What an even scenario takes from `[load]`, may set itself, and the command line may set."""

Share = Annotated[float, Field(ge=0, le=0.9)]
_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]


class ScenarioError(Exception):
    """The scenarios cannot be read or break a rule; the message names every problem, one a line."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Phase(_Section):
    """A part of a scenario: from `rate_per_s` to `to_per_s` for `seconds`; or `at_once` webhooks."""

    seconds: float | None = Field(None, gt=0)
    rate_per_s: float = Field(0, ge=0, le=10_000)
    to_per_s: float | None = Field(None, ge=0, le=10_000)
    at_once: int | None = Field(None, ge=1, le=100_000)

    @model_validator(mode="after")
    def _is_one_of_the_two(self) -> Self:
        flows = self.model_fields_set & {"seconds", "rate_per_s", "to_per_s"}
        if self.at_once is not None and flows:
            raise ValueError(f"at_once stands alone, without {', '.join(sorted(flows))}")
        if self.at_once is None and self.seconds is None:
            raise ValueError("needs either seconds or at_once")
        return self


class _Shape(_Section):
    """A scenario as the file has it."""

    about: str
    phases: list[Phase] = []
    rate_per_s: float | None = None
    warmup_s: float | None = None
    duration_s: float | None = None
    duplicates: Share = 0
    bad_signatures: Share = 0
    health_per_s: float = Field(0, ge=0, le=100)
    limits: dict[str, float] = {}

    @model_validator(mode="after")
    def _has_one_shape(self) -> Self:
        if self.phases and (set_too := self.model_fields_set & {"rate_per_s", "duration_s"}):
            raise ValueError(f"has phases and {', '.join(sorted(set_too))}: one of them gives the rate")
        if self.duplicates + self.bad_signatures > 0.9:
            raise ValueError("duplicates and bad_signatures leave less than a tenth of new messages")
        return self


class Scenario(_Section):
    """One shape of load with all that it needs.

    Attributes:
        phases: what is due, one after the other; never empty.
        load: limits, after what the scenario itself changes in them.
        even: whether rate and duration are those of `load`.
    """

    name: str
    about: str
    phases: list[Phase]
    duplicates: float = 0
    bad_signatures: float = 0
    health_per_s: float = 0
    load: Load
    even: bool

    @property
    def compared(self) -> bool:
        """Whether this is the scenario in which a candidate is held against the live release."""
        return self.name == STEADY

    @property
    def seconds(self) -> float:
        """From the first webhook until nothing more is due."""
        return sum(phase.seconds or 0 for phase in self.phases)


_SHAPES: TypeAdapter[dict[str, _Shape]] = TypeAdapter(dict[_Name, _Shape])


def read_scenarios(path: Path, load: Load, given: Mapping[str, float]) -> dict[str, Scenario]:
    """All scenarios of the file at *path*, by name.

    Args:
        path: a file like `scenarios.toml`.
        load: limits, and the shape of what is even.
        given: what the caller sets of `rate_per_s`, `warmup_s` and `duration_s`; for even scenarios only.

    Raises:
        ScenarioError: one line for each problem, with its key and value.
    """
    shapes = _read(path)
    problems: list[str] = []
    scenarios: dict[str, Scenario] = {}
    for name, shape in shapes.items():
        try:
            scenarios[name] = _scenario(name, shape, load, given)
        except ValidationError as error:
            problems += [
                _line(path, [name, *_place(problem["loc"][0])], problem) for problem in error.errors()
            ]
        except ScenarioError as error:
            problems.append(f"{path.name}: {name}.{error}")
    if problems:
        raise ScenarioError("\n".join(problems))
    return scenarios


def _read(path: Path) -> dict[str, _Shape]:
    try:
        return _SHAPES.validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ScenarioError(f"{path.name}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path.name}: is not TOML: {error}") from error
    except ValidationError as error:
        raise ScenarioError("\n".join(_lines(path, error))) from error


def _scenario(name: str, shape: _Shape, load: Load, given: Mapping[str, float]) -> Scenario:
    limits = load.model_dump(exclude=set(_EVEN))
    if unknown := sorted(shape.limits.keys() - limits):
        raise ScenarioError(f"limits: should be among {', '.join(limits)}, got {', '.join(unknown)}")
    own = {key: value for key in _EVEN if (value := getattr(shape, key)) is not None}
    told = {} if shape.phases else given
    changed = Load.model_validate({**load.model_dump(), **shape.limits, **own, **told})
    even = Phase(seconds=changed.warmup_s + changed.duration_s, rate_per_s=changed.rate_per_s)
    return Scenario(
        name=name,
        about=shape.about,
        phases=shape.phases or [even],
        duplicates=shape.duplicates,
        bad_signatures=shape.bad_signatures,
        health_per_s=shape.health_per_s,
        load=changed,
        even=not shape.phases,
    )


def _place(key: int | str) -> list[str]:
    """Where in a scenario's table a part of `Load` stands."""
    return [str(key)] if key in _EVEN else ["limits", str(key)]


def _lines(path: Path, error: ValidationError) -> list[str]:
    return [_line(path, map(str, problem["loc"]), problem) for problem in error.errors()]


def _line(path: Path, where: Iterable[str], problem: Any) -> str:
    said = problem["msg"].removeprefix("Value error, ")
    got = problem["input"]
    # What breaks a rule between several keys is said with them; the whole table would be noise.
    return f"{path.name}: {'.'.join(where)}: {said}" + ("" if isinstance(got, dict) else f", got {got!r}")
