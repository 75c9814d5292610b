"""Fits and measures the query thresholds on labelled texts: `python test/bench_queries.py`.

Every second text of test/data/query_names.json chooses the numbers of `QueryConfig`, the others report them.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize

from ovseg3r_core.language.minilm import MiniLm
from ovseg3r_core.mapping.queries import QueryConfig, QueryEngine
from ovseg3r_core.types import Box, ObjectRecord, QueryResult

CASES = json.loads((Path(__file__).parent / "data" / "query_names.json").read_text())
console = Console(width=140)


def an_object(number: int, label: str) -> ObjectRecord:
    box = Box(centre=(0.0, 0.0, 0.0), size=(1.0, 1.0, 1.0), yaw=0.0)
    return ObjectRecord(
        id=number,
        label=label,
        score=0.9,
        centre=(0.0, 0.0, 0.0),
        box=box,
        points=100,
        observations=5,
        first_seen=0.0,
        last_seen=1.0,
        state="active",
    )


MAPS = {name: [an_object(i, label) for i, label in enumerate(labels)] for name, labels in CASES["maps"].items()}


def fit(encoder: MiniLm, queries: list[dict], start: QueryConfig, *, lead: bool = True) -> QueryConfig:
    """The logistic that best tells the meant labels from all others; exact names need none and are left out."""
    engine = QueryEngine(encoder, start)
    rows, meant = [], []
    for query in queries:
        for match in engine.match(query["text"], CASES["maps"][query["map"]]):
            if match.likeness < 1:
                rows.append((1, match.likeness, match.lead if lead else 0))
                meant.append(match.label in query["expect"])
    x, y = np.array(rows), np.array(meant)

    def loss(w: np.ndarray) -> float:
        margin = np.where(y, 1, -1) * (x @ w)
        return float(np.logaddexp(0, -margin).sum() + 0.01 * (w[1:] ** 2).sum())

    bias, likeness_gain, lead_gain = minimize(loss, np.zeros(3)).x
    return replace(start, bias=bias, likeness_gain=likeness_gain, lead_gain=lead_gain)


def outcome(query: dict, result: QueryResult) -> str:
    """One word for how an answer compares with what was meant."""
    names = [hit.object.label for hit in result.hits]
    if not query["expect"]:
        return {"none": "none, right", "found": "found, wrong", "ambiguous": "ambiguous, absent"}[result.verdict]
    if result.verdict == "none":
        return "none, missed"
    if result.verdict == "found":
        return "found, right" if names[0] in query["expect"] else "found, wrong"
    return "ambiguous, listed" if set(names[:3]) & set(query["expect"]) else "ambiguous, missed"


def measure(encoder: MiniLm, config: QueryConfig, queries: list[dict]) -> dict[str, int]:
    engine = QueryEngine(encoder, config)
    outcomes = [outcome(query, engine.answer(query["text"], MAPS[query["map"]])) for query in queries]
    return {name: outcomes.count(name) for name in sorted(set(outcomes))}


def row(name: str, encoder: MiniLm, config: QueryConfig, queries: list[dict]) -> list[str]:
    count = measure(encoder, config, queries)
    right, wrong, listed = (count.get(said, 0) for said in ("found, right", "found, wrong", "ambiguous, listed"))
    none, unsure = count.get("none, right", 0), count.get("ambiguous, absent", 0)
    present = sum(bool(query["expect"]) for query in queries)
    absent = len(queries) - present
    shares = (
        right / max(right + wrong, 1),
        right / present,
        (right + listed) / present,
        none / absent,
        (absent - none - unsure) / absent,
    )
    return [name, f"{config.none_below:.2f}", f"{config.found_at:.2f}", *(f"{share:.3f}" for share in shares)]


def table(title: str, encoder: MiniLm, configs: dict[str, QueryConfig], queries: list[dict]) -> None:
    """Shares of right answers: of what was found, of what is there, and of what is not there."""
    heads = ("none below", "found at", "found: right", "present: found", "present: found or listed", "absent: none")
    shown = Table("", *heads, "absent: found", title=f"{title} ({len(queries)} texts)")
    for name, config in configs.items():
        shown.add_row(*row(name, encoder, config, queries))
    console.print(shown)


def main() -> None:
    encoder, defaults = MiniLm(), QueryConfig()
    choose, report = CASES["queries"][::2], CASES["queries"][1::2]
    fitted = fit(encoder, choose, defaults)
    console.print(f"fitted: bias {fitted.bias:.1f}, likeness {fitted.likeness_gain:.1f}, lead {fitted.lead_gain:.1f}")
    pairs = [(low, high) for low in (0.1, 0.2, 0.3, 0.4) for high in (0.4, 0.5, 0.6, 0.7)]
    grid = {f"{low} {high}": replace(fitted, none_below=low, found_at=high) for low, high in pairs}
    table("choosing half", encoder, grid, choose)
    whole = replace(defaults, shortened_weight=0.01)
    variants = {
        "defaults": defaults,
        "without lead": fit(encoder, choose, defaults, lead=False),
        "whole text only": fit(encoder, choose, whole),
        "neither": fit(encoder, choose, whole, lead=False),
    }
    for title, half in (("choosing half", choose), ("reporting half", report)):
        table(title, encoder, variants, half)
    list_errors(QueryEngine(encoder, defaults))


def list_errors(engine: QueryEngine) -> None:
    for query in CASES["queries"]:
        result = engine.answer(query["text"], MAPS[query["map"]])
        if (said := outcome(query, result)) not in ("found, right", "none, right"):
            answers = ", ".join(f"{hit.object.label} {hit.score:.2f}" for hit in result.hits[:4])
            console.print(f"{said:18} {query['text']!r} in {query['map']}, meant {query['expect']}: {answers}")


if __name__ == "__main__":
    main()
