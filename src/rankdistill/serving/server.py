"""Runs workers on a socket until a signal ends them."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn
from uvicorn.supervisors import Multiprocess

from rankdistill.errors import ConfigError, RankDistillError
from rankdistill.serving.counted import Application
from rankdistill.serving.http import application
from rankdistill.serving.metrics import new_table
from rankdistill.serving.options import Options
from rankdistill.serving.reload import load
from rankdistill.serving.service import Service
from rankdistill.types import Json

_log = logging.getLogger(__name__)

_BACKLOG = 2048
_SECONDS_TO_END, _SECONDS_TO_ANSWER_A_PING = 5, 60
_SECONDS_BEFORE_A_RESTART = 2
_SECONDS_TO_STAY_CONNECTED = 60


class Server:
    """A socket that listens, and the models that will answer on it.

    Raises:
        ConfigError: nobody can listen there.
        ExportError: a folder is missing or damaged.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._socket = _listening(options.host, options.port)
        try:
            self._service = Service(options) if options.workers == 1 else None
            if self._service is None:
                _check(options)
        except BaseException:
            self._socket.close()
            raise

    @property
    def url(self) -> str:
        """Where it listens."""
        port = self._socket.getsockname()[1]
        host = f"[{self._options.host}]" if ":" in self._options.host else self._options.host
        return f"http://{host}:{port}"

    def run(self) -> None:
        """Answers until SIGTERM or SIGINT; requests that are being answered then are still answered."""
        with self._socket, _ended_by_signals():
            if self._service is not None:
                config = _config(self._options, application(self._service))
                uvicorn.Server(config).run(sockets=[self._socket])
                return
            with TemporaryDirectory(prefix="rankdistill-") as folder:
                table = Path(folder) / "metrics"
                new_table(table, self._options.workers)
                config = _config(self._options, partial(_worker, self._options, table), factory=True)
                Multiprocess(config, sockets=[self._socket]).run()


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        reason = str(getattr(error, "strerror", None) or error).partition(" (while")[0]
        raise ConfigError(f"cannot listen on {host}, port {port} ({reason}); name another --host or --port") from error


def _check(options: Options) -> None:
    """Loads the folders once, so that a bad one is refused before there are workers."""
    for folder in (options.folder, options.teacher):
        if folder is not None:
            load(folder, options.threads)


def _worker(options: Options, table: Path) -> Application:
    """The application of one worker of several."""
    try:
        return application(Service(options, table))
    except RankDistillError as error:  # while another worker serves what was there before
        _log.error("%s", " ".join(str(error).split()))
        time.sleep(_SECONDS_BEFORE_A_RESTART)
        sys.exit(1)


def _config(options: Options, app: object, *, factory: bool = False) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        factory=factory,
        workers=options.workers,
        ws="none",
        log_config=_logging(options),
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_SECONDS_TO_STAY_CONNECTED,
        timeout_graceful_shutdown=int(options.limits.seconds) + _SECONDS_TO_END,
        timeout_worker_healthcheck=_SECONDS_TO_ANSWER_A_PING,
    )


def _logging(options: Options) -> Json:
    """Lines on stderr with time and process, in every worker alike."""
    level = "DEBUG" if options.debug else "INFO"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(process)d %(levelname)s %(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "loggers": {
            "rankdistill": {"handlers": ["stderr"], "level": level, "propagate": False},
            "uvicorn": {"handlers": ["stderr"], "level": level if options.debug else "WARNING", "propagate": False},
        },
    }


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """While uvicorn ends a server gracefully for a signal, and raises it again, the signal does nothing else."""
    before = {each: signal.signal(each, lambda *_: None) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
