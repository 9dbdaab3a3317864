"""Where secrets were written: every form in which one can stand in a file, an answer or a command line."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

import psutil

_CHUNK = 8 << 20
_LONGEST = 1_024


@dataclass(frozen=True)
class Secret:
    """One secret, and the user it belongs to."""

    name: str
    value: str
    user: str = ""

    def forms(self) -> set[bytes]:
        """As it is, and as SQL, JSON, Java and URLs quote it, as Base64, and as UTF-16."""
        value = self.value
        java = value.replace("\\", "\\\\").replace('"', '\\"')
        texts = {value, java, json.dumps(value)[1:-1], quote(value), quote(value, safe=""), quote_plus(value)}
        texts |= {text.replace("'", "''") for text in texts}
        texts |= {b64encode(value.encode()).decode().rstrip("=")}
        if self.user:
            texts.add(b64encode(f"{self.user}:{value}".encode()).decode().rstrip("="))
        return {text.encode() for text in texts} | {value.encode("utf-16-le"), value.encode("utf-16-be")}


def found_in(content: bytes, secrets: Iterable[Secret]) -> set[str]:
    """Names of the secrets that are in it, in whatever form."""
    return {secret.name for secret in secrets if any(form in content for form in secret.forms())}


def found_in_file(path: Path, secrets: Iterable[Secret]) -> set[str]:
    """The same of a file of any size; what is gzipped is looked into."""
    wanted, found, rest = list(secrets), set(), b""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found |= found_in(rest + chunk, wanted)
            rest = chunk[-_LONGEST:]
    return found


def holders(folders: Iterable[Path], secrets: Iterable[Secret]) -> dict[Path, set[str]]:
    """Every file below the folders that holds a secret, and which."""
    wanted = list(secrets)
    holding = {}
    for path in files_of(folders):
        try:
            names = found_in_file(path, wanted)
        except FileNotFoundError:  # it was there a moment ago
            continue
        if names:
            holding[path] = names
    return holding


def files_of(folders: Iterable[Path]) -> Iterator[Path]:
    """Every file below the folders, links left out."""
    for folder in folders:
        yield from (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def in_command_lines(processes: Iterable[psutil.Process], secrets: Iterable[Secret]) -> Mapping[int, set[str]]:
    """Processes whose command line, which every user of a machine can see, holds a secret."""
    wanted = list(secrets)
    holding = {}
    for process in processes:
        try:
            line = "\0".join(process.cmdline()).encode()
        except psutil.Error:
            continue
        if names := found_in(line, wanted):
            holding[process.pid] = names
    return holding
