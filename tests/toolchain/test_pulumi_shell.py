import pytest

from runbook.toolchain.pulumi_shell import named_stack, verb


@pytest.mark.parametrize(
    ("arguments", "stack"),
    [
        ("up --stack prod --yes", "prod"),
        ("up -s prod", "prod"),
        ("preview --stack=prod", "prod"),
        ("stack init prod", "prod"),
        ("stack select prod --create", "prod"),
        ("stack rm prod", "prod"),
        ("stack ls", None),
        ("up --yes", None),
        ("up --stack", None),
        ("", None),
    ],
)
def test_the_stack_of_a_command_line(arguments: str, stack: str | None) -> None:
    """A stack that is named on the command line is found in each form that the CLI takes."""
    assert named_stack(arguments.split()) == stack


@pytest.mark.parametrize(
    ("arguments", "expected"), [("up --yes", "up"), ("--non-interactive up", "up"), ("--help", ""), ("", "")]
)
def test_the_verb_of_a_command_line(arguments: str, expected: str) -> None:
    """The first word that is no option is the verb."""
    assert verb(arguments.split()) == expected
