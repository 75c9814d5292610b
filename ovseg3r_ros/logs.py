"""The log of the core, which knows Python's logging only, on the log of a node."""

import logging

from rclpy.impl.rcutils_logger import RcutilsLogger


class _ToRos(logging.Handler):
    def __init__(self, logger: RcutilsLogger) -> None:
        super().__init__()
        self._tell = {
            logging.DEBUG: logger.debug,
            logging.INFO: logger.info,
            logging.WARNING: logger.warning,
            logging.ERROR: logger.error,
            logging.CRITICAL: logger.fatal,
        }

    def emit(self, record: logging.LogRecord) -> None:
        self._tell.get(record.levelno, self._tell[logging.INFO])(self.format(record))


def to_ros(logger: RcutilsLogger) -> None:
    """Send what our packages log to a node's logger."""
    for package in ("ovseg3r_core", "ovseg3r_ros"):
        source = logging.getLogger(package)
        source.handlers = [_ToRos(logger)]
        source.setLevel(logging.INFO)
        source.propagate = False
