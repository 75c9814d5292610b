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
    for name, tree in trees(LIBRARY):
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


def asked_for(name: str) -> list[str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return re.findall(r"^([a-z0-9_-]+)", text, re.MULTILINE)


@pytest.mark.parametrize(("name", "heading"), [("python", "Python packages at run time"), ("ros", "ROS 2 as wheels")])
def test_dependencies_page_names_what_is_asked_for(name: str, heading: str) -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text()
    told = re.search(rf"## {heading}\n(.*?)\n## ", page, re.DOTALL)
    assert told
    names_told = re.findall(r"^\| ([a-z0-9_-]+) \|", told[1], re.MULTILINE)
    assert sorted(asked_for(name)) == sorted(name for name in names_told if name not in ("package", "wheel"))


def test_every_dependency_is_imported_somewhere() -> None:
    modules = {
        "opencv-python-headless": "cv2",
        "pillow": "PIL",
        "pyyaml": "yaml",
        "rerun-sdk": "rerun",
        "segment-anything": "segment_anything",
        "ros-jazzy-rmw-fastrtps-cpp": "rclpy",  # which loads it
    }
    used = {module.split(".")[0] for _, tree in trees(LIBRARY) for module in imported_modules(tree)}
    for name in asked_for("python") + asked_for("ros"):
        module = modules.get(name, name.removeprefix("ros-jazzy-").replace("-", "_"))
        assert module in used, f"{name} is a dependency that nothing imports"


def test_tested_versions_cover_every_dependency() -> None:
    pinned = set(re.findall(r"^([\w-]+)==", (ROOT / "requirements" / "constraints.txt").read_text(), re.MULTILINE))
    extras = re.findall(r'^ +"([\w-]+)[<>=]', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    wanted = {*extras, *asked_for("python"), *asked_for("ros"), *asked_for("ros-build")}
    assert extras and wanted <= pinned


def test_cmake_installs_every_interface_and_program() -> None:
    cmake = (ROOT / "CMakeLists.txt").read_text()
    listed = set(re.findall(r"\b(?:msg|srv|scripts)/\w+(?:\.\w+)?", cmake))
    there = {
        *ROOT.glob("msg/*.msg"),
        *ROOT.glob("srv/*.srv"),
        *(path for path in ROOT.glob("scripts/*") if path.is_file()),
    }
    assert listed == {str(path.relative_to(ROOT)) for path in there}


def test_a_wheel_holds_every_data_file() -> None:
    declared = re.search(r'^"\*" = \[(.*)\]', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert declared
    patterns = re.findall(r'"([^"]+)"', declared[1])
    files = [
        path for name in ("core", "train", "ros") for path in ROOT.glob(f"ovseg3r_{name}/**/*.*") if path.is_file()
    ]
    data = [path for path in files if path.suffix not in (".py", ".so") and path.parent.name != "__pycache__"]
    packages = [next(parent for parent in path.parents if (parent / "__init__.py").is_file()) for path in data]
    missed = [path for path, package in zip(data, packages, strict=True) if not held(path, package, patterns)]
    assert data and not missed


def held(path: Path, package: Path, patterns: list[str]) -> bool:
    return path in {found for pattern in patterns for found in package.glob(pattern)}
