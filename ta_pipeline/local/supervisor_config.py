"""supervisord's configuration file for a set of components.

supervisord has a format of its own: `%(name)s` is expanded everywhere, and quotes know no escapes.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from supervisor.datatypes import dict_of_key_value_pairs

from ta_pipeline.errors import StackError
from ta_pipeline.local.components import Component

MARK = "TA_LOCAL_STACK"
"""The variable that every process of a stack carries: the stack's directory."""


@dataclass(frozen=True)
class Layout:
    """Where the supervisord of the stack in `directory` keeps its files."""

    directory: Path

    @property
    def run(self) -> Path:
        """What exists only while the stack is up."""
        return self.directory / "run"

    @property
    def logs(self) -> Path:
        """Output of the components."""
        return self.directory / "logs"

    @property
    def socket(self) -> Path:
        """Supervisord's control socket."""
        return self.run / "supervisor.sock"

    @property
    def pid_file(self) -> Path:
        """Supervisord's process id."""
        return self.run / "supervisord.pid"

    @property
    def config(self) -> Path:
        """What `render` writes."""
        return self.run / "supervisord.conf"

    def log_file(self, name: str) -> Path:
        """Where the output of a component goes."""
        return self.logs / f"{name}.log"


def render(layout: Layout, components: Iterable[Component]) -> str:
    """The configuration file of supervisord for these components.

    Raises:
        StackError: a variable has a value that supervisord cannot pass on; the message names it without the value.
    """
    head = f"""\
[supervisord]
directory={_escape(layout.directory)}
pidfile={_escape(layout.pid_file)}
logfile={_escape(layout.logs / "supervisord.log")}
logfile_maxbytes=5MB
logfile_backups=1
umask=077

[unix_http_server]
file={_escape(layout.socket)}
chmod=0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
    return "\n".join([head, *(_program(layout, component) for component in components)])


def _program(layout: Layout, component: Component) -> str:
    environment = {**component.environment, "TA_LOCAL_DIGEST": component.digest}
    return f"""\
[program:{component.name}]
; {digest_line(component)}
command={_escape(shlex.join(component.command))}
environment={_environment(environment)}
autostart=false
autorestart=true
startsecs=1
startretries=5
stopsignal=TERM
stopwaitsecs={component.stop_wait_seconds}
stopasgroup=true
killasgroup=true
redirect_stderr=true
stdout_logfile={_escape(layout.log_file(component.name))}
stdout_logfile_maxbytes=50MB
stdout_logfile_backups=2
"""


def digest_line(component: Component) -> str:
    """The comment by which a component's configuration is recognised as what it was."""
    return f"{component.name} {component.digest}"


def _environment(values: Mapping[str, str]) -> str:
    if broken := [name for name, value in values.items() if not _arrives(name, value)]:
        raise StackError(
            f"supervisord cannot pass on the value of {', '.join(broken)}: it may not begin or end with a quote, nor "
            "have both kinds of quotes or a line break in it"
        )
    return _escape(",".join(_assignment(name, value) for name, value in values.items()))


def _assignment(name: str, value: str) -> str:
    # supervisord knows no escapes inside quotes, so the quote is the one that the value does not have.
    quote = "'" if '"' in value else '"'
    return f"{name}={quote}{value}{quote}"


def _arrives(name: str, value: str) -> bool:
    try:
        read: dict[str, str] = dict_of_key_value_pairs(_assignment(name, value))
    except ValueError:
        return False
    return read == {name: value} and not set(value) & set("\r\n")


def _escape(value: object) -> str:
    # supervisord expands %(name)s everywhere.
    return str(value).replace("%", "%%")
