"""What a worker process asks of the system, in a process of its own."""

import subprocess
import sys

import pytest

from app.config import CHECKOUT

_SCRIPT = """
import logging, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, int(sys.argv[1])))
logging.basicConfig(format="%(message)s")
from app.feed.feed import raise_file_limit
raise_file_limit(int(sys.argv[2]))
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("hard", "wanted", "soft", "said"),
    [
        (1000, 800, 800, ""),
        (1000, 100, 256, ""),
        (1000, 5600, 1000, "Only 1000 files may be open, of 5600 wanted"),
    ],
)
def test_a_worker_may_open_a_file_for_each_stream_as_far_as_the_system_lets_it(hard, wanted, soft, said):
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(hard), str(wanted)],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"{soft}\n"
    assert done.stderr.startswith(said)
    assert bool(said) == bool(done.stderr)
