"""What `up` provisioned survives its machine: containers killed, the engine killed, all under traffic."""

from __future__ import annotations

import pytest
from on_demand import FULL
from private_stack import PrivateStack

pytestmark = [pytest.mark.stack, pytest.mark.own_engine]

ROUNDS = 3 if FULL else 1


def test_every_container_comes_back_after_its_first_process_was_killed(stack: PrivateStack) -> None:
    """One after the other: by itself, with nothing lost and nothing answered twice."""
    with stack.messages():
        for _ in range(ROUNDS):
            for container in stack.containers():
                stack.kill_first_process(container)
                print(f"{container.name}: well after {stack.seconds_until_well():.1f} s")


def test_all_containers_come_back_together(stack: PrivateStack) -> None:
    """As after the memory of the whole machine was full."""
    with stack.messages():
        for _ in range(ROUNDS + 1):
            stack.kill_first_process(*stack.containers())
            print(f"all: well after {stack.seconds_until_well():.1f} s")


def test_the_stack_comes_back_after_a_power_cut(stack: PrivateStack) -> None:
    """The engine and all containers end at once; nobody types anything afterwards."""
    with stack.messages():
        stack.engine.kill()
        stack.engine.start()
        print(f"power cut: well after {stack.seconds_until_well():.1f} s")


def test_the_stack_comes_back_after_the_engine_was_restarted(stack: PrivateStack) -> None:
    """As an unattended upgrade does it."""
    with stack.messages():
        stack.engine.restart()
        print(f"restart: well after {stack.seconds_until_well():.1f} s")
