"""The log of the core, which knows Python's logging only, on the log of a node."""

import logging

from rclpy.impl.rcutils_logger import RcutilsLogger


class _ToRos(logging.Handler):
    def __init__(self, logger: RcutilsLogger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Each level on a line of its own: rclpy refuses a line that logs at different levels."""
        message = self.format(record)
        if record.levelno >= logging.ERROR:
            self._logger.error(message)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(message)
        elif record.levelno >= logging.INFO:
            self._logger.info(message)
        else:
            self._logger.debug(message)


def to_ros(logger: RcutilsLogger) -> None:
    """Send what our packages log to a node's logger."""
    for package in ("ovseg3r_core", "ovseg3r_ros"):
        source = logging.getLogger(package)
        source.handlers = [_ToRos(logger)]
        source.setLevel(logging.INFO)
        source.propagate = False
