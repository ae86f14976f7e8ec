"""Fetches the pinned wheels of wheels.sha256 with pip and unpacks parts of them. Python's standard library only."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
DEPS = SCRIPTS.parent / ".deps"
# Wheels put here by hand are used before any download: the way for a machine without a network.
BY_HAND = DEPS / "wheels"
STAMP = ".wheels"


def fail(message):
    """Ends the script; the message says what is wrong and what to do."""
    sys.exit(f"{Path(sys.argv[0]).name}: {message}")


def pinned(project):
    """File name and sha256 of the project's wheel for this machine."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    if platform.system() != "Linux":
        fail(f"there is no pinned wheel of {project} for {platform.system()}; set LIBTORCH to a libtorch 2.11.0")
    for line in (SCRIPTS / "wheels.sha256").read_text().splitlines():
        sha256, name = line.split()
        if name.split("-")[0] == project and name.endswith((f"_{machine}.whl", "-any.whl")):
            return name, sha256
    fail(f"there is no pinned wheel of {project} for {machine}")


def sha256_of(path):
    """Lowercase hex sha256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def fetch(name, sha256, folder):
    """Path of the wheel: the one put there by hand, or a fresh download into `folder`. Either has the sha256."""
    local = BY_HAND / name
    if local.exists():
        if sha256_of(local) != sha256:
            fail(f"{local} has another sha256 than {sha256}: delete it or fetch it again")
        return local
    project, version, _, abi, platforms = name.removesuffix(".whl").split("-")
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{project}=={version} --hash=sha256:{sha256}\n")
    # Said in full, so that the Python of this machine plays no part.
    command = [
        sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps",
        "--only-binary=:all:", "--require-hashes", "--python-version", "3.11", "--implementation", "cp", "--abi", abi,
        "--dest", str(folder), "-r", str(requirement),
    ]  # fmt: skip
    for tag in platforms.split("."):
        command += ["--platform", tag]
    print(f"fetching {name}", flush=True)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0 or not (folder / name).exists():
        reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        fail(
            f"pip could not fetch {name}\n  {reason}\n"
            f"Without a network, get this file ({project} {version} on PyPI) on another machine and put it into\n"
            f"  {BY_HAND}/\n(sha256 {sha256}), then run this again."
        )
    if sha256_of(folder / name) != sha256:
        fail(f"{name} came with another sha256 than {sha256}")
    return folder / name


def unpack(wheel, wanted, into):
    """Unpacks each file for which `wanted(name)` gives a path below `into`."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            target = None if entry.is_dir() else wanted(entry.filename)
            if target is None:
                continue
            path = (into / target).resolve()
            if not path.is_relative_to(into.resolve()):
                fail(f"{wheel.name} holds a path that leaves its folder: {entry.filename}")
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, open(path, "wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)


def install(target, projects, fill):
    """Makes `target` from the wheels of `projects` by `fill(wheels, folder)`, whole or not at all. Does nothing when
    it is there already, made of the same wheels."""
    wheels = [pinned(project) for project in projects]
    stamp = "".join(f"{sha256}  {name}\n" for name, sha256 in wheels)
    if is_made_of(target, stamp):
        return False
    DEPS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="setup-", dir=DEPS) as temporary:
        work = Path(temporary)
        fresh = work / "fresh"
        fresh.mkdir()
        fill([fetch(name, sha256, work) for name, sha256 in wheels], fresh)
        (fresh / STAMP).write_text(stamp)
        os.sync()
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if target.exists() and not is_made_of(target, stamp):
                target.rename(work / "old")
            fresh.rename(target)
        except OSError:
            # Another run may have been faster.
            if not is_made_of(target, stamp):
                raise
    return True


def is_made_of(target, stamp):
    """Whether an earlier run finished `target` from these wheels."""
    try:
        return (target / STAMP).read_text() == stamp
    except OSError:
        return False
