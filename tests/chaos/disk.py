"""A disk that stalls, or whose machine loses power: what was not synced by then is gone.

An ext4 file system in a file, mounted by a loop device. `cut` shuts it down without writing
anything more, by the ioctl that file systems have for such tests: neither what is in the kernel's
memory nor the journal's open transaction reaches the file. `back` mounts what is left.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from pathlib import Path
from typing import Final, Self

import pytest

_MEGABYTES: Final = 512
_SHUTDOWN: Final = 0x8004587D
"""EXT4_IOC_SHUTDOWN, `_IOR('X', 125, __u32)` in Linux' fs/ext4/ext4.h."""
_WITHOUT_FLUSHING: Final = 2
"""EXT4_GOING_FLAGS_NOLOGFLUSH."""


class Disk:
    """A file system of its own at `path`; a context manager. Skips where one cannot be mounted."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "mounted"
        self._image = folder / "disk"

    def __enter__(self) -> Self:
        self.path.mkdir()
        with self._image.open("wb") as image:
            image.truncate(_MEGABYTES << 20)
        try:
            _run("mkfs.ext4", "-q", "-F", str(self._image))
            self._mount()
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"needs root, mkfs.ext4 and loop devices: {error}")
        return self

    def __exit__(self, *_: object) -> None:
        _run("umount", "--lazy", str(self.path))

    def cut(self) -> None:
        """Lose power; whoever writes from now on gets an error."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, _SHUTDOWN, struct.pack("I", _WITHOUT_FLUSHING))
        finally:
            os.close(folder)

    def back(self) -> None:
        """Have power again; nobody may hold a file of before."""
        _run("umount", str(self.path))
        self._mount()

    def stall(self) -> None:
        """Let writes wait until `go_on`."""
        _run("fsfreeze", "--freeze", str(self.path))

    def go_on(self) -> None:
        """Take writes again."""
        _run("fsfreeze", "--unfreeze", str(self.path))

    def _mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.path))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
