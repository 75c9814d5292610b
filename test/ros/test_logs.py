"""What the core logs reaches the log of the node, at every level."""

import logging

from rclpy.logging import get_logger

from ovseg3r_ros.logs import to_ros


def test_levels_may_follow_each_other_in_any_order(capfd):
    core = logging.getLogger("ovseg3r_core.some.part")
    package = logging.getLogger("ovseg3r_core")
    before = package.handlers, package.level, package.propagate
    to_ros(get_logger("test_logs"))
    try:
        for say in (core.info, core.warning, core.error, core.info, core.critical):
            say("a word of %s", "the core")
    finally:
        for name in ("ovseg3r_core", "ovseg3r_ros"):
            logger = logging.getLogger(name)
            logger.handlers, logger.level, logger.propagate = before
    said = "".join(capfd.readouterr())
    assert said.count("a word of the core") == 5
    assert "[WARN]" in said and "[ERROR]" in said
