"""What is wrong, or not known, about poses and depth that were found: said by every command that uses them."""

from collections.abc import Mapping
from typing import Any

from ovseg3r_core.recovered import Recovered


def doubts(found: Recovered) -> tuple[str, ...]:
    """A sentence each: the camera was lost, its intrinsics look wrong, its unit is not the metre."""
    return (*lost_most_of_the_way(found.report), *wrong_intrinsics(found.report), *unknown_scale(found))


def lost_most_of_the_way(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Of the frames that were meant to be placed, more than half were not."""
    placed, meant = report["frames"]["posed"], report["frames"].get("taken", report["frames"]["read"])
    if 2 * placed >= meant:
        return ()
    return (
        f"the camera was lost most of the way ({placed} of {meant} frames placed): move more slowly, keep things in "
        "view that have edges and texture, or bring it back to where it was known",
    )


def wrong_intrinsics(report: Mapping[str, Any]) -> tuple[str, ...]:
    """The images would have another focal length."""
    if not report.get("intrinsics", {}).get("doubtful", False):
        return ()
    remedy = "correct them, or take them away to have them estimated" if report["from"] == "colour" else "correct them"
    return (
        f"the intrinsics look wrong: the images fit a focal length {report['intrinsics']['focal_told_by_images']:.2f} "
        f"times the one given: {remedy}",
    )


def unknown_scale(found: Recovered) -> tuple[str, ...]:
    """Colour alone, and nobody told a length."""
    if found.scale_known:
        return ()
    return (
        "how long a metre is here is not known, so read every length as a guess: `ovseg3r reconstruct` takes a "
        "--camera-height, --scale-from or --scale, and what it wrote goes on as --poses DIR",
    )
