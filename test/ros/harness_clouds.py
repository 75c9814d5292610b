"""What is in a PointCloud2, as a reader who only trusts its fields sees it."""

import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from sensor_msgs.msg import PointCloud2, PointField

_DTYPES = {
    PointField.INT32: "i4",
    PointField.UINT32: "u4",
    PointField.FLOAT32: "f4",
    PointField.UINT16: "u2",
    PointField.UINT8: "u1",
}


def points_of(cloud: PointCloud2) -> ndarray:
    """The points as a structured array; fails where sizes and steps do not fit together."""
    assert not cloud.is_bigendian
    assert cloud.row_step == cloud.width * cloud.point_step
    assert len(cloud.data) == cloud.height * cloud.row_step
    names, offsets = [field.name for field in cloud.fields], [field.offset for field in cloud.fields]
    formats = [_DTYPES[field.datatype] for field in cloud.fields]
    layout = np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": cloud.point_step})
    return np.frombuffer(cloud.data, layout)


def xyz_of(points: ndarray) -> Float32[ndarray, "points 3"]:
    return np.stack([points["x"], points["y"], points["z"]], axis=1)
