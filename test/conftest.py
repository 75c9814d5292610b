"""What all tests share. The hook comes first: it checks every annotated shape of the core while the tests run."""

import os
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

os.environ.setdefault("OMP_NUM_THREADS", "2")  # the same speed and the same sums on a laptop and on a server
os.environ["COLUMNS"] = "240"  # the width of tables is settled when a command is first imported
os.environ.setdefault("TRITON_INTERPRET", "1")  # kernels for GPUs run on the CPU, step by step
install_import_hook(["ovseg3r_core", "ovseg3r_train"], "beartype.beartype")
settings.register_profile("unhurried", deadline=None)  # the first example pays for imports, and machines differ
settings.register_profile("fuzz", deadline=None, max_examples=5000)  # pytest --hypothesis-profile=fuzz
settings.load_profile("unhurried")

CHECKOUT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded test sequences, which is not part of the repository."""
    folder = Path(os.environ.get("OVSEG3R_TEST_DATA", CHECKOUT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no recorded sequences at {folder}: set OVSEG3R_TEST_DATA")
    return folder
