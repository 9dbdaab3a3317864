"""Become a process in a container: `python enter.py FILE`, in new user and mount namespaces, as what is root there.

FILE is JSON: `root` (an empty folder), `binds` (source, target, whether it may be written to; in their order), `links`,
`user`, `group`, `directory`, `environment` and `command`. Everything is read-only but what is bound to be written to.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

_OLD = ".old"
_UNTOUCHED = ("/proc", "/dev")
"""The kernel's; who is not root can write there no more than outside."""


def main() -> None:
    """Build the root, move to it, give up what is root here, and run the command."""
    wanted = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    root = Path(wanted["root"])
    _do("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", str(root))
    for source, target, _ in wanted["binds"]:
        place = root / target.lstrip("/")
        if Path(source).is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                place.touch()
        _do("mount", "--rbind", source, str(place))
    for name, target in wanted["links"].items():
        (root / name.lstrip("/")).symlink_to(target)
    (root / _OLD).mkdir()
    _do("pivot_root", str(root), str(root / _OLD))
    os.chdir("/")
    _do("umount", "--lazy", f"/{_OLD}")
    Path("/", _OLD).rmdir()
    _make_read_only({target for _, target, writable in wanted["binds"] if writable})
    os.chdir(wanted["directory"])
    become = ["unshare", "--user", f"--map-user={wanted['user']}", f"--map-group={wanted['group']}"]
    command = [*become, "setpriv", "--no-new-privs", "--", *wanted["command"]]
    os.execvpe(command[0], command, wanted["environment"])  # noqa: S606 - it is what a container runs


def _make_read_only(writable: set[str]) -> None:
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        place, options = line.split()[4:6]
        if place in writable or place.startswith(_UNTOUCHED):
            continue
        # Of what is mounted for others, no option may be given up.
        kept = [one for one in options.split(",") if one not in {"rw", "ro"}]
        _do("mount", "-o", ",".join(["remount", "bind", "ro", *kept]), place)


def _do(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
