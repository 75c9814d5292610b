"""The rules that keep the parts apart, read off the source."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = [path for package in ("core", "train", "ros") for path in sorted(ROOT.glob(f"ovseg3r_{package}/**/*.py"))]
SCREEN = {"cli.py", "cli_tables.py"}  # what talks to a person prints, with rich


def trees(paths: list[Path]) -> Iterator[tuple[str, ast.Module]]:
    for path in paths:
        yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def imported_modules(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            yield node.module or ""


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_core_knows_neither_ros_nor_training() -> None:
    outer = {"ovseg3r_ros", "ovseg3r_train", "rclpy"}
    core = [path for path in LIBRARY if path.is_relative_to(ROOT / "ovseg3r_core")]
    assert core
    for name, tree in trees(core):
        assert not outer & {module.split(".")[0] for module in imported_modules(tree)}, name


def test_training_and_ros_do_not_know_each_other() -> None:
    for one, other in (("ovseg3r_train", "ovseg3r_ros"), ("ovseg3r_ros", "ovseg3r_train")):
        for name, tree in trees([path for path in LIBRARY if path.is_relative_to(ROOT / one)]):
            assert other not in {module.split(".")[0] for module in imported_modules(tree)}, name


def test_nothing_is_printed_by_the_library() -> None:
    for name, tree in trees([path for path in LIBRARY if path.name not in SCREEN]):
        assert "print" not in {function for function, _ in calls(tree)}, name


def test_no_file_that_is_read_can_run_code() -> None:
    for name, tree in trees(LIBRARY):
        assert not {"cPickle", "dill", "joblib", "shelve"} & set(imported_modules(tree)), name
        assert "pickle.load" not in ast.unparse(tree) and "Unpickler(" not in ast.unparse(tree), name
        for function, call in calls(tree):
            arguments = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            if function == "torch.load":
                assert arguments.get("weights_only") == "True", f"{name}:{call.lineno}"
            assert arguments.get("allow_pickle", "False") == "False", f"{name}:{call.lineno}"


@pytest.mark.parametrize("heavy", ["torch", "open3d", "transformers", "rerun"])
def test_types_load_nothing_heavy(heavy: str) -> None:
    code = f"import sys, ovseg3r_core.types, ovseg3r_core.geometry; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0


def test_dependencies_page_names_what_pyproject_asks_for() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    page = (ROOT / "docs" / "dependencies.md").read_text()
    asked = re.search(r"^dependencies = \[\n(.*?)^\]", project, re.DOTALL | re.MULTILINE)
    told = re.search(r"## Python packages at run time\n(.*?)\n## ", page, re.DOTALL)
    assert asked and told
    names_asked = re.findall(r'^ +"([a-z0-9_-]+)', asked[1], re.MULTILINE)
    names_told = re.findall(r"^\| ([a-z0-9_-]+) \|", told[1], re.MULTILINE)
    assert sorted(names_asked) == sorted(name for name in names_told if name != "package")


def test_every_dependency_is_imported_somewhere() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    asked = re.search(r"^dependencies = \[\n(.*?)^\]", project, re.DOTALL | re.MULTILINE)
    assert asked
    modules = {
        "opencv-python-headless": "cv2",
        "pillow": "PIL",
        "rerun-sdk": "rerun",
        "segment-anything": "segment_anything",
    }
    used = {module.split(".")[0] for _, tree in trees(LIBRARY) for module in imported_modules(tree)}
    for name in re.findall(r'^ +"([a-z0-9_-]+)', asked[1], re.MULTILINE):
        assert modules.get(name, name.replace("-", "_")) in used, f"{name} is a dependency that nothing imports"


def test_tested_versions_cover_every_dependency() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    pinned = set(re.findall(r"^([\w-]+)==", (ROOT / "requirements" / "constraints.txt").read_text(), re.MULTILINE))
    wanted = set(re.findall(r'^ +"([\w-]+)[<>=]', project, re.MULTILINE))
    assert wanted and wanted <= pinned
