"""Where the drawing goes: a viewer in a process of its own, as a window or for a browser, or a file."""

import logging
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import rerun as rr
import rerun_cli

from ovseg3r_ros.viewer.config import ViewerConfig

logger = logging.getLogger(__name__)

_PATIENCE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Sink:
    """A recording, and whether anybody can still see it."""

    recording: rr.RecordingStream
    is_open: Callable[[], bool]


@contextmanager
def open_sink(config: ViewerConfig) -> Iterator[Sink]:
    """A recording that goes where the settings say; what is on its way arrives before the context ends.

    Raises:
        OSError: the folder of the file is not there.
    """
    recording = rr.RecordingStream("ovseg3r")
    if config.mode == "save":
        yield _file(recording, Path(config.path))
        recording.disconnect()
        return
    with _viewer(config) as process:
        recording.connect_grpc(f"rerun+http://127.0.0.1:{config.port}/proxy")
        yield Sink(recording=recording, is_open=lambda: process.poll() is None)
        if process.poll() is None:  # else it would be waited for
            recording.disconnect()


def _file(recording: rr.RecordingStream, path: Path) -> Sink:
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path is {path}, and there is no folder {path.parent}")
    recording.save(path)
    logger.info("recording into %s", path.absolute())
    return Sink(recording=recording, is_open=lambda: True)


@contextmanager
def _viewer(config: ViewerConfig) -> "Iterator[subprocess.Popen[bytes]]":
    """The viewer's process; its settings lie in a folder of its own, in which its usage reports are switched off."""
    program = str(Path(rerun_cli.__file__).with_name("rerun"))  # `python -m rerun` would be a parent that dies alone
    with TemporaryDirectory(prefix="ovseg3r-viewer-") as folder:
        environment = {**os.environ, "XDG_CONFIG_HOME": folder}
        off = [program, "analytics", "disable"]
        subprocess.run(off, env=environment, check=True, capture_output=True, timeout=_PATIENCE_S)
        process = subprocess.Popen([program, *_options(config)], env=environment, stdin=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(_PATIENCE_S)


def _options(config: ViewerConfig) -> list[str]:
    memory = f"{config.memory_mb}MiB"
    options = ["--port", str(config.port), "--memory-limit", memory, "--server-memory-limit", memory]
    if config.mode == "spawn":
        return ["--hide-welcome-screen", *options]
    source = quote(f"rerun+http://{_reachable(config.bind)}:{config.port}/proxy", safe="")
    logger.info("open http://%s:%d/?url=%s in a browser", _reachable(config.bind), config.web_port, source)
    return ["--serve-web", "--bind", config.bind, "--web-viewer-port", str(config.web_port), *options]


def _reachable(bind: str) -> str:
    """What a browser calls this machine."""
    return os.uname().nodename if bind in ("0.0.0.0", "::") else bind
