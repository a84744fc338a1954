"""Suites of others, which are not part of this repository: fetched once, at a fixed commit, where the network allows it."""

import fcntl
import os
import subprocess

from rc import scratch

FETCH_SECONDS = 60


def checkout(repository, commit):
    """A folder with the repository at that commit, or None."""
    name = repository.rsplit("/", 1)[1]
    folder = scratch() / f"{name}-{commit[:12]}"
    with open(scratch() / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            folder.mkdir(exist_ok=True)
            environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
            for words in (["init", "--quiet"], ["fetch", "--quiet", "--depth", "1", repository, commit], ["checkout", "--quiet", "FETCH_HEAD"]):
                try:
                    subprocess.run(["git", "-C", folder, *words], check=True, timeout=FETCH_SECONDS, env=environment, capture_output=True)
                except (subprocess.SubprocessError, OSError):
                    return None
            (folder / "done").touch()
    return folder


def built(folder, package, binary):
    """The program that a checkout makes, built on first use."""
    target = scratch() / f"{folder.name}-target"
    command = ["cargo", "build", "--quiet", "--manifest-path", folder / "Cargo.toml", "-p", package, "--target-dir", target]
    environment = {**os.environ, "CARGO_PROFILE_DEV_DEBUG": "0"}
    with open(scratch() / f"{folder.name}-build.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=1_200, env=environment)
    assert done.returncode == 0, done.stderr[-4_000:]
    return target / "debug" / binary
