"""Saving and loading the map of a running node: by service, and on its own now and then."""

import threading
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from rclpy.node import Node

from ovseg3r_core.checks import Rejected
from ovseg3r_core.live import LivePerception
from ovseg3r_core.mapping.reanchoring import laid_out
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.repeater import Repeater
from ovseg3r_core.sequences.poses import pose_from_quaternion
from ovseg3r_ros.map_directory import AUTOSAVE, MapDirectory

_NICENESS = 5


class MapKeeper:
    """Knows which map was saved last, so that nothing is written twice.

    Args:
        own_origin: whether the map begins where this run began, as with our own odometry: no saved map goes on then.
        saved_in_map: where saved maps with another id lie.
    """

    def __init__(
        self,
        node: Node,
        live: LivePerception,
        directory: MapDirectory,
        autosave_period_s: float,
        *,
        own_origin: bool = False,
        saved_in_map: tuple[float, ...] = (),
    ) -> None:
        self._node, self._live, self._directory, self._own_origin = node, live, directory, own_origin
        self._T_map_saved = _transform(saved_in_map)
        self._autosaved = live.latest.revision
        self._saving = threading.Lock()
        self._repeater = (
            Repeater("autosave", autosave_period_s, self.autosave, niceness=_NICENESS) if autosave_period_s else None
        )

    def save(self, name: str) -> Path:
        """Save the map under a name; raises `Rejected`."""
        with self._saving:
            return self._directory.save(name, *self._live.perception.state())

    def configure(self, saved_in_map: tuple[float, ...]) -> None:
        """Where saved maps with another id lie from now on; raises ValueError where the numbers are no transform."""
        self._T_map_saved = _transform(saved_in_map)

    def load(self, name: str) -> tuple[int, str]:
        """Go on from a saved map; gives the number of its objects, and where it lies. Raises `Rejected`; the present
        map stays then."""
        if self._own_origin:
            raise Rejected(
                "other_origin",
                f"the map {name or AUTOSAVE} has another origin than that of this run, which odometry chose: "
                "localise the robot and set poses:=tf to go on from saved maps",
            )
        snapshot, memory = self._directory.load(name)
        if not snapshot.scale_known:
            raise Rejected(
                "unknown_scale",
                f"the map {name or AUTOSAVE} is not in metres: it was made of colour alone and nobody told a length; "
                "segment it again with the scale (`ovseg3r reconstruct --camera-height`)",
            )
        encoder = self._live.perception.encoder
        if snapshot.embeddings and encoder and snapshot.embeddings.encoder.name != encoder.name:
            raise Rejected(
                "other_encoder",
                f"the map {name or AUTOSAVE} holds embeddings of {snapshot.embeddings.encoder.name} but masks are "
                f"embedded by {encoder.name}: set the parameter masks as it was",
            )
        moved, where = self._place(name or AUTOSAVE, snapshot)
        if moved is not None:
            snapshot, memory = laid_out(snapshot, memory, moved)
        return len(self._live.resume(snapshot, memory).snapshot.objects), where

    def _place(self, name: str, saved: MapSnapshot) -> tuple[Float64[ndarray, "4 4"] | None, str]:
        """Where a saved map lies in the present one, None for where it lay; and the same in words."""
        perception = self._live.perception
        frame, id_ = perception.map_frame, perception.map_id
        if id_ and saved.map_id != id_ and self._T_map_saved is not None:
            shift_m = np.linalg.norm(self._T_map_saved[:3, 3])
            return self._T_map_saved, f"the map {name} was moved by {shift_m:.2f} m into {id_!r}, as saved_in_map says"
        if saved.map_frame != frame:
            raise Rejected(
                "other_frame",
                f"the map {name} is in the frame {saved.map_frame!r} but the node maps in {frame!r}: set the parameter "
                "map_frame",
            )
        if id_ and saved.map_id != id_:
            of = f"of {saved.map_id!r}" if saved.map_id else "of nobody knows which"
            raise Rejected(
                "other_map",
                f"the map {name} was saved in a map {of}, but poses are given in {id_!r}: set saved_in_map to where "
                "it lies, or map_id as it was",
            )
        if not id_:
            return None, "loaded where it was saved: without map_id nobody can tell whether the origin is the same"
        return None, ""

    def autosave(self) -> None:
        """Save the map if it changed since the last time."""
        revision = self._live.latest.revision
        is_empty = not self._live.latest.snapshot.views  # worth saving only where an older map would come back
        if revision == self._autosaved or (is_empty and AUTOSAVE not in self._directory.names()):
            return
        try:
            self.save(AUTOSAVE)
            self._autosaved = revision
        except Rejected as rejected:
            self._node.get_logger().error(str(rejected), throttle_duration_sec=60.0)

    def take_up_autosave(self) -> None:
        """Go on from the map of the last run where there is one; one that cannot be used is set aside."""
        if AUTOSAVE not in self._directory.names():
            return
        try:
            objects, where = self.load(AUTOSAVE)
            self._node.get_logger().info(
                f"going on from the map of the last run: {objects} objects; {where}".rstrip("; ")
            )
        except Rejected as rejected:
            kept = self._directory.set_aside(AUTOSAVE)
            self._node.get_logger().error(
                f"the map of the last run is not taken up, and kept as {kept.name}: {rejected}"
            )

    def destroy(self) -> None:
        """Stop saving."""
        if self._repeater is not None:
            self._repeater.stop()


def _transform(numbers: tuple[float, ...]) -> Float64[ndarray, "4 4"] | None:
    if not numbers:
        return None
    x, y, z, qx, qy, qz, qw = numbers
    return pose_from_quaternion((x, y, z), (qx, qy, qz, qw))
