"""The fault campaign: every row of the table is measured or held by tests, and the table is written.

    python test/faults/campaign.py --out faults [--rows A1 B1 E4]

Figures of rows that are not measured this time are kept from `results.json` in the folder. The exit code is 1 where a
row fails.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "ros")]

from harness_domain import enter_ros_environment  # noqa: E402

enter_ros_environment()

from live_rows import LIVE, Measured  # noqa: E402
from rich.console import Console  # noqa: E402
from rows import ROWS, Row  # noqa: E402

KILLS = "100"


def measure(row: Row, folder: Path) -> Measured:
    """One row; a measurement that ends in an error fails with it."""
    if row.tests:
        return by_tests(row, folder)
    try:
        return LIVE[row.number]()
    except AssertionError as error:
        first_line = str(error).partition("\n")[0]
        return Measured(figure=f"ended early: {first_line[:200]}", passed=False)


def by_tests(row: Row, folder: Path) -> Measured:
    """How many tests hold a row."""
    report = folder / f"{row.number.replace(', ', '_')}.xml"
    command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *row.tests]
    environment = os.environ | {"OVSEG3R_KILLS": KILLS}
    done = subprocess.run(command, cwd=HERE.parents[1], env=environment, capture_output=True, text=True, check=False)
    if not report.is_file():
        return Measured(figure=f"no tests: {done.stdout[-200:]}", passed=False)
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    count = {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
    bad = count["failures"] + count["errors"]
    ran = count["tests"] - count["skipped"]
    names = ", ".join(case.get("name", "") for case in suite.iter("testcase") if case.find("failure") is not None)
    figure = f"{ran - bad} of {ran} tests hold it" + (f"; not: {names}" if bad else "")
    return Measured(figure=figure, passed=bad == 0 and ran > 0)


def table(results: dict[str, dict]) -> str:
    """The rows in Markdown."""
    lines = ["| | what | target | measured | |", "|---|---|---|---|---|"]
    for row in ROWS:
        result = results.get(row.number)
        figure = f"not measured: {row.not_measured}" if row.not_measured else "not measured yet"
        verdict = ""
        if result:
            figure, verdict = result["figure"], "pass" if result["passed"] else "**fail**"
        lines.append(f"| {row.number} | {row.figure} | {row.target} | {figure} | {verdict} |")
    return "\n".join(lines) + "\n"


def campaign(folder: Path, rows: Iterable[Row]) -> bool:
    """Measure rows, one after the other; the table is written after each."""
    folder.mkdir(parents=True, exist_ok=True)
    kept, console = folder / "results.json", Console()
    results = json.loads(kept.read_text()) if kept.is_file() else {}
    for row in rows:
        start_s = time.monotonic()
        measured = measure(row, folder)
        results[row.number] = {
            "figure": measured.figure,
            "passed": measured.passed,
            "seconds": round(time.monotonic() - start_s),
        }
        console.print(f"{row.number}: {'pass' if measured.passed else 'FAIL'}: {measured.figure}", highlight=False)
        kept.write_text(json.dumps(results, indent=2) + "\n")
        (folder / "table.md").write_text(table(results))
    return all(result["passed"] for result in results.values())


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Measure the fault table.")
    parser.add_argument("--out", type=Path, required=True, help="folder of results.json and table.md")
    parser.add_argument("--rows", nargs="*", help="numbers of rows; default: all that are measured")
    options = parser.parse_args(arguments)
    rows = [row for row in ROWS if not row.not_measured and (not options.rows or row.number in options.rows)]
    return 0 if campaign(options.out, rows) else 1


if __name__ == "__main__":
    sys.exit(main())
