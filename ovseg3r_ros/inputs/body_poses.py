"""A camera's pose from the poses of the body that carries it: T_map_camera = T_map_frame T_frame_body T_body_camera."""

from collections.abc import Callable
from threading import Lock

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.poses import Trajectory, pose_from_quaternion
from ovseg3r_ros.inputs.pose_messages import BodyPose
from ovseg3r_ros.inputs.pose_source import PoseNotYet

_KEPT_NS = 10 * 10**9  # behind the newest pose: no image waits that long

Lookup = Callable[[str, str, int], Float64[ndarray, "4 4"]]
"""(target, source, stamp in ns) -> T_target_source; raises `PoseNotYet` or another `Rejected`."""


class BodyPoses:
    """The trajectory of one body; may be filled in one thread and asked in another.

    Args:
        topic: where the poses come from, for messages.
        map_frame: what `T_map_camera` is given in.
        camera_in_body: x y z qx qy qz qw of the optical frame in the body. Where empty, transforms tell where the
            camera is in the child frame of the message; a message without one (PoseStamped) gives the pose of the
            optical frame itself.
        max_gap_s: longest time between two poses that is interpolated.
        lookup: the robot's transforms, asked for the camera in its body, and for the frame of the message in the map
            where that is another one.
    """

    def __init__(
        self, *, topic: str, map_frame: str, camera_in_body: tuple[float, ...], max_gap_s: float, lookup: Lookup
    ) -> None:
        self._topic, self._map_frame, self._lookup = topic, map_frame.lstrip("/"), lookup
        self._T_body_camera = None
        if camera_in_body:
            x, y, z, qx, qy, qz, qw = camera_in_body
            self._T_body_camera = pose_from_quaternion((x, y, z), (qx, qy, qz, qw))
        self._max_gap_s = max_gap_s
        self._lock = Lock()
        self.reset()

    def reset(self) -> None:
        """Forget all poses."""
        with self._lock:
            self._trajectory = Trajectory(self._max_gap_s)
            self._frames = ("", "")

    def insert(self, pose: BodyPose) -> None:
        """Take a pose; one of another body, or in another frame, starts a new trajectory.

        Raises:
            Rejected: `bad_pose` where the message does not say which frame it is given in.
        """
        if not pose.frame_id:
            raise Rejected("bad_pose", f"{self._topic} has no frame_id: it must say which frame its poses are given in")
        with self._lock:
            frames = pose.frame_id, pose.child_frame_id
            if frames != self._frames:
                self._trajectory, self._frames = Trajectory(self._max_gap_s), frames
            self._trajectory.insert(pose.stamp_ns, pose.T_frame_body)
            self._trajectory.forget_before(self._trajectory.newest_ns - _KEPT_NS)

    def newest_ns(self) -> int | None:
        """The stamp of the newest pose; None where there is none."""
        with self._lock:
            return self._trajectory.newest_ns if len(self._trajectory) else None

    def T_map_camera(self, camera_frame: str, stamp_ns: int) -> Float64[ndarray, "4 4"]:
        """The pose of the optical frame at a time.

        Raises:
            PoseNotYet: no pose has come, or the time is newer than the newest, or a transform may still come.
            Rejected: `no_pose` where the time is too old or in a gap.
        """
        T_frame_body, frame, body = self._at(stamp_ns)
        return self._in_map(frame, stamp_ns) @ T_frame_body @ self._in_body(body, camera_frame, stamp_ns)

    def _at(self, stamp_ns: int) -> tuple[Float64[ndarray, "4 4"], str, str]:
        with self._lock:
            if len(self._trajectory) == 0:
                raise PoseNotYet(f"nothing has come on {self._topic}")
            try:
                return self._trajectory.at(stamp_ns), self._frames[0], self._frames[1]
            except Rejected as why:
                if stamp_ns > self._trajectory.newest_ns:
                    raise PoseNotYet(f"{self._topic}: {why}") from why
                raise Rejected(why.reason, f"{self._topic}: {why}") from why

    def _in_map(self, frame: str, stamp_ns: int) -> Float64[ndarray, "4 4"]:
        if frame == self._map_frame:
            return np.eye(4)
        problem = f"{self._topic} is given in {frame!r}, not in map_frame {self._map_frame!r}: set map_frame, or"
        return self._from_transforms(self._map_frame, frame, stamp_ns, f"{problem} publish the transform between them")

    def _in_body(self, body: str, camera_frame: str, stamp_ns: int) -> Float64[ndarray, "4 4"]:
        if self._T_body_camera is not None:
            return self._T_body_camera
        if not body:
            return np.eye(4)
        problem = f"the camera's place in {body!r} is unknown: set camera_in_body, or publish its transform"
        return self._from_transforms(body, camera_frame, stamp_ns, problem)

    def _from_transforms(self, target: str, source: str, stamp_ns: int, problem: str) -> Float64[ndarray, "4 4"]:
        try:
            return self._lookup(target, source, stamp_ns)
        except PoseNotYet as why:
            raise PoseNotYet(f"{problem} ({why})") from why
        except Rejected as why:
            raise Rejected(why.reason, f"{problem} ({why})") from why
