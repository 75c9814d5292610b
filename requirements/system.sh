#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that this machine lacks; does nothing where all is there.
# Each is looked for by what we use of it, so that it may have come from anywhere.
set -euo pipefail
PYTHON=${PYTHON:-python3}

missing=()
need() { "${@:2}" >/dev/null 2>&1 || missing+=("$1"); }
loads() { "$PYTHON" -c "import ctypes; ctypes.CDLL('$1')"; }

need g++ g++ --version # it compiles the ROS interfaces, against the headers of Python
need python3-dev "$PYTHON" -c "import os, sysconfig; os.stat(os.path.join(sysconfig.get_path('include'), 'Python.h'))"
need libusb-1.0-0 loads libusb-1.0.so.0 # the next three: Open3D's wheel links to them
need libgl1 loads libGL.so.1
need libgomp1 loads libgomp.so.1
need python3-venv "$PYTHON" -c "import ensurepip"
need npm npm --version                                           # one model comes in an npm package; pyright runs on node
need sweethome3d-furniture test -d /usr/share/sweethome3d/furniture # the furniture of generated rooms

[ ${#missing[@]} -gt 0 ] || exit 0
install="apt-get install -y --no-install-recommends ${missing[*]}"
root=()
[ "$(id -u)" = 0 ] || root=(sudo)
if ! command -v apt-get >/dev/null || { [ ${#root[@]} -gt 0 ] && ! command -v sudo >/dev/null; }; then
    echo "make setup: missing: ${missing[*]}. Install them (Debian, Ubuntu: as root, '$install'), then run make again." >&2
    exit 1
fi
echo "make setup: installing ${missing[*]} with apt-get"
"${root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${root[@]}" $install -qq >/dev/null
