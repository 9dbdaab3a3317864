"""What `.dockerignore` keeps out of an image, for a file that lets in what it names and nothing else.

    *           everything stays out,
    !NAME       but this file or folder of the repository,
    **/NAME     and in it everything but what is called so; `*` in NAME is any text

Definition: Docker's documentation, ".dockerignore files".
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ta_pipeline.errors import ManifestError


@dataclass(frozen=True)
class Ignored:
    """The rules of one file."""

    let_in: frozenset[str]
    names: tuple[str, ...]

    @classmethod
    def read(cls, file: Path) -> Ignored:
        """Read them.

        Raises:
            ManifestError: the file is missing, or has rules of another kind.
        """
        try:
            lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        except FileNotFoundError:
            raise ManifestError(f"there is no {file}") from None
        rules = [line for line in lines if line and not line.startswith("#")]
        let_in = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
        names = [rule.removeprefix("**/") for rule in rules if rule.startswith("**/")]
        wanted = ["*", *(f"!{one}" for one in let_in), *(f"**/{one}" for one in names)]
        if rules != wanted or any("/" in one for one in [*let_in, *names]) or any("*" in one for one in let_in):
            raise ManifestError(f"{file}: known here are a first rule *, then !NAME, then **/NAME; a NAME has no slash")
        return cls(frozenset(let_in), tuple(names))

    def holds(self, path: PurePosixPath) -> bool:
        """Whether a path, relative to the repository, is kept out."""
        if path.parts[0] not in self.let_in:
            return True
        return any(fnmatch.fnmatchcase(part, name) for part in path.parts for name in self.names)
