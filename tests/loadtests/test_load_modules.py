import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "loadtests"
WITH_GEVENT = {
    "campaign",
    "crew",
    "gate",
    "locustfile",
    "reply_reader",
    "senders",
    "sending",
    "this_process",
    "webhooks",
    "worker",
}


def test_no_module_shadows_the_standard_library() -> None:
    """Locust puts this folder first on `sys.path`: a module named like a standard one would replace it."""
    names = {path.stem for path in FOLDER.glob("*.py")}
    assert not names & sys.stdlib_module_names


def test_what_decides_is_free_of_gevent() -> None:
    """Plan, book, verdict and options can be imported anywhere: none loads gevent, Locust or scipy."""
    pure = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in {*WITH_GEVENT, "__init__"})
    program = "import sys\n" + "".join(f"import loadtests.{name}\n" for name in pure)
    program += "print(*{'gevent', 'locust', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
