"""What is wrong, or not known, about poses and depth that were found: said by every command that uses them."""

from collections.abc import Mapping
from typing import Any

from ovseg3r_core.recovered import Recovered


def doubts(found: Recovered) -> tuple[str, ...]:
    """A sentence each, of everything that is wrong or not known."""
    return (*doubts_of_images(found.report), *unknown_scale(found))


def doubts_of_images(report: Mapping[str, Any]) -> tuple[str, ...]:
    """What images did not tell well: the camera was lost, intrinsics look wrong, blur, something moves."""
    return (
        *lost_most_of_the_way(report),
        *wrong_intrinsics(report),
        *motion_blur(report),
        *something_moves(report),
    )


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


def motion_blur(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Most images are smeared along the way that the camera moved."""
    blur = report.get("motion_blur", {})
    if not blur.get("doubtful", False):
        return ()
    return (
        f"motion blurs {blur['blurred']} of {blur['images']} images, so poses and depth are less exact than they could "
        "be: move more slowly, or give the camera more light and a shorter exposure",
    )


def something_moves(report: Mapping[str, Any]) -> tuple[str, ...]:
    """What was a surface is seen through later; not said where wrong intrinsics would look the same."""
    moving = report.get("moving", {})
    if not moving.get("doubtful", False) or report.get("intrinsics", {}).get("doubtful", False):
        return ()
    or_else = ", or blur has made poses wrong" if report.get("motion_blur", {}).get("doubtful", False) else ""
    return (
        f"something moves through the scene{or_else}: {moving['changed']} of {moving['looks']} looks contradict "
        "others; poses may have followed it, and it is in the map at places where it only was: record without it, or "
        "leave these frames out",
    )


def unknown_scale(found: Recovered) -> tuple[str, ...]:
    """Colour alone, and nobody told a length."""
    if found.scale_known:
        return ()
    return (
        "how long a metre is here is not known, so read every length as a guess: `ovseg3r reconstruct` takes a "
        "--camera-height, --scale-from or --scale, and what it wrote goes on as --poses DIR",
    )
