"""A replay in a few lines for people."""

from rich.text import Text

from ovseg3r_core.evaluation.against_truth import TruthMetrics
from ovseg3r_ros.replay.metrics import Frames, Latency, OdometryMetrics, Percentiles, ReplayMetrics


def summary(metrics: ReplayMetrics) -> Text:
    """What was played, where the frames went, what was found, how long it took."""
    lines = [
        _frames(metrics.frames),
        _odometry(metrics.odometry),
        f"map: {metrics.object_count} objects, published {metrics.maps_published} times"
        + (f", the first object after {metrics.first_object_s:.1f} s" if metrics.first_object_s is not None else ""),
        _truth(metrics.truth, metrics.identity.id_switches),
        _latency(metrics.latency),
    ]
    if metrics.node is not None:
        lines.append(f"node: {metrics.node.cpu_cores:.2f} cores, {metrics.node.memory_peak_mb:.0f} MB at most")
    if metrics.played.damage is not None:
        lines.append(f"the bag is damaged: {metrics.played.damage}")
    return Text("\n".join(line for line in lines if line))


def _frames(frames: Frames | None) -> str:
    if frames is None:
        return "frames: the node never said how it is"
    dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(frames.dropped.items())) or "none"
    return (
        f"frames: {frames.published} published, {frames.missed} missed, {frames.fused} fused; "
        f"{frames.looked} of {frames.keyframes} keyframes looked at; dropped: {dropped}; "
        f"unexplained: {frames.unexplained}"
    )


def _odometry(odometry: OdometryMetrics | None) -> str:
    if odometry is None:
        return ""
    error = "" if odometry.ate_m is None else f"; {odometry.ate_m:.3f} m from the recorded way (ATE)"
    return f"odometry: {odometry.placed} frames placed, {odometry.lost} lost{error}"


def _truth(truth: TruthMetrics | None, switches: int | None) -> str:
    if truth is None:
        return ""
    ap = " ".join(
        f"{name} {value:.3f}"
        for name, value in (("AP", truth.ap), ("AP50", truth.ap50), ("AP25", truth.ap25))
        if value is not None
    )
    return (
        f"truth: {truth.found} of {truth.things} things found, {truth.right_names} rightly named, "
        f"{truth.duplicates} duplicates, {truth.ghosts} ghosts, {switches} id switches; {ap}"
    )


def _latency(latency: Latency) -> str:
    spreads = (
        ("fusion", latency.fusion_age_s),
        ("publication", latency.publication_age_s),
        ("query", latency.query_s),
    )
    told = ", ".join(f"{name} {_spread(spread)}" for name, spread in spreads if spread is not None)
    unanswered = f"; {latency.queries_unanswered} queries unanswered" if latency.queries_unanswered else ""
    return f"delay p50 / p99: {told or 'nothing came'}{unanswered}"


def _spread(spread: Percentiles) -> str:
    return f"{spread.p50:.3f} / {spread.p99:.3f} s"
