"""Saving and loading the map of a running node: by service, and on its own now and then."""

import threading
from pathlib import Path

from rclpy.node import Node

from ovseg3r_core.checks import Rejected
from ovseg3r_core.live import LivePerception
from ovseg3r_core.repeater import Repeater
from ovseg3r_ros.map_directory import AUTOSAVE, MapDirectory

_NICENESS = 5


class MapKeeper:
    """Knows which map was saved last, so that nothing is written twice.

    Args:
        own_origin: whether the map begins where this run began, as with our own odometry: no saved map goes on then.
    """

    def __init__(
        self,
        node: Node,
        live: LivePerception,
        directory: MapDirectory,
        autosave_period_s: float,
        *,
        own_origin: bool = False,
    ) -> None:
        self._node, self._live, self._directory, self._own_origin = node, live, directory, own_origin
        self._autosaved = live.latest.revision
        self._saving = threading.Lock()
        self._repeater = (
            Repeater("autosave", autosave_period_s, self.autosave, niceness=_NICENESS) if autosave_period_s else None
        )

    def save(self, name: str) -> Path:
        """Save the map under a name; raises `Rejected`."""
        with self._saving:
            return self._directory.save(name, *self._live.perception.state())

    def load(self, name: str) -> int:
        """Go on from a saved map; gives the number of its objects. Raises `Rejected`; the present map stays then."""
        if self._own_origin:
            raise Rejected(
                "other_origin",
                f"the map {name or AUTOSAVE} has another origin than that of this run, which odometry chose: "
                "localise the robot and set poses:=tf to go on from saved maps",
            )
        snapshot, memory = self._directory.load(name)
        encoder = self._live.perception.encoder
        if snapshot.embeddings and encoder and snapshot.embeddings.encoder.name != encoder.name:
            raise Rejected(
                "other_encoder",
                f"the map {name or AUTOSAVE} holds embeddings of {snapshot.embeddings.encoder.name} but masks are "
                f"embedded by {encoder.name}: set the parameter masks as it was",
            )
        if snapshot.map_frame != self._live.perception.map_frame:
            raise Rejected(
                "other_frame",
                f"the map {name or AUTOSAVE} is in the frame {snapshot.map_frame!r} but the node maps in "
                f"{self._live.perception.map_frame!r}: set the parameter map_frame",
            )
        return len(self._live.resume(snapshot, memory).snapshot.objects)

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
            objects = self.load(AUTOSAVE)
            self._node.get_logger().info(f"going on from the map of the last run: {objects} objects")
        except Rejected as rejected:
            kept = self._directory.set_aside(AUTOSAVE)
            self._node.get_logger().error(
                f"the map of the last run is not taken up, and kept as {kept.name}: {rejected}"
            )

    def destroy(self) -> None:
        """Stop saving."""
        if self._repeater is not None:
            self._repeater.stop()
