"""Whenever the controller dies, nothing stays half-made: the next one finishes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from tests.e2e.user import User, make_function, wait_for

ROUNDS = 3
FUNCTIONS = 4
SELECTOR = "app.kubernetes.io/name=kubeless-controller"


def source(number: int) -> str:
    return f"def handler(event, context):\n    return '{number}'\n"


def kill_controller(administrator: User) -> None:
    """Without a chance to tidy up, as when its node dies."""
    administrator.kubectl(
        "delete", "pod", "-n", "kubeless", "-l", SELECTOR, "--grace-period=0", "--force", "--wait=false"
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_controller_killed_at_any_moment_converges(make_user: Callable[[], User], user: User) -> None:
    names = [f"survivor-{number}" for number in range(FUNCTIONS)]
    moments = random.Random()
    for round_number in range(ROUNDS):
        user.apply(*(make_function(name, source(round_number)) for name in names))
        delay = moments.uniform(0, 2)
        time.sleep(delay)
        kill_controller(user)
        user.wait_ready(*names, seconds=90)
        for name in names:
            wait_for(
                lambda name=name, n=round_number: user.call(name).text == str(n),
                30,
                f"{name} does not answer as version {round_number}; the controller was killed after {delay:.3f} s",
            )
    user.kubectl("delete", "functions", "--all", "--wait=false")
    kill_controller(user)
    wait_for(
        lambda: not user.get("configmaps,services,deployments", "-l", "created-by=kubeless")["items"],
        60,
        "children of deleted functions are left",
    )
