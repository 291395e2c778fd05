"""A PostgreSQL server of the tests' own: made in a temporary folder, started, stopped, removed."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

PATIENCE = 60.0
# A role that must give this password; all others on this machine's loopback are trusted.
GUARDED, PASSWORD = "guarded", "s3cret-of-nobody"


class NoServerError(Exception):
    """There is no PostgreSQL on this machine, or it cannot be started; says why."""


class Server:
    """One running server that listens on a free port of the loopback and nowhere else.

    PostgreSQL refuses to run as root, so root starts it as the user ``postgres`` or ``nobody``.
    """

    def __init__(self) -> None:
        if importlib.util.find_spec("psycopg") is None:
            raise NoServerError("psycopg is not installed")
        self.programs = _programs()
        self.account = _account()
        # Not pytest's folder: that one only its owner may enter.
        self.folder = Path(tempfile.mkdtemp(prefix="podium-postgresql-"))
        self.data = self.folder / "data"
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        try:
            if self.account is not None:
                os.chown(self.folder, self.account.pw_uid, self.account.pw_gid)
            self._make()
            self.start()
            self.execute(f"CREATE ROLE {GUARDED} LOGIN CREATEDB PASSWORD '{PASSWORD}'")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop the server and remove everything it wrote."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start it, on the port it had before if it had one, and wait until it answers."""
        self.port = self.port or free_port()
        words = [str(self.programs / "postgres"), "-D", str(self.data), "-k", ""]
        words += ["-h", "127.0.0.1", "-p", str(self.port), "-c", "max_connections=60"]
        if shutil.which("setpriv"):
            # It ends with the tests even when those are killed.
            words = ["setpriv", "--pdeathsig", "INT", *words]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log, **self._as_account())
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.execute("SELECT 1")
                return
            except Exception as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    told = (self.folder / "log").read_text(errors="replace")[-500:]
                    raise NoServerError(f"PostgreSQL does not start: {told}") from error
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT ends all connections, SIGKILL is a crash."""
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def execute(self, statement: str) -> None:
        """One statement outside of any transaction."""
        import psycopg

        plain = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        with psycopg.connect(plain, autocommit=True, connect_timeout=5) as connection:
            connection.execute(statement.encode())

    def url(self, database: str, user: str = "postgres") -> str:
        """What podium.toml says to use a database."""
        return f"postgresql+psycopg://{user}@127.0.0.1:{self.port}/{database}"

    @contextlib.contextmanager
    def database(self, options: str = "") -> Iterator[str]:
        """URL of a database of its own, dropped afterwards."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name} {options}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _make(self) -> None:
        words = [str(self.programs / "initdb"), "-D", str(self.data), "--username=postgres"]
        words += ["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
        done = subprocess.run(words, capture_output=True, text=True, **self._as_account())
        if done.returncode:
            raise NoServerError(f"initdb failed: {done.stderr.strip()}")
        rules = self.data / "pg_hba.conf"
        rule = f"host all {GUARDED} 127.0.0.1/32 scram-sha-256\n"
        rules.write_text(rule + rules.read_text())

    def _as_account(self) -> dict[str, object]:
        if self.account is None:
            return {"cwd": self.folder}
        account = self.account
        return {
            "cwd": self.folder,
            "user": account.pw_uid,
            "group": account.pw_gid,
            "extra_groups": [],
            "env": {**os.environ, "HOME": str(self.folder)},
        }


def _programs() -> Path:
    """Folder with initdb and postgres; the newest version where there are several."""
    places = [Path(p).parent for p in (shutil.which("postgres"), shutil.which("initdb")) if p]
    if tool := shutil.which("pg_config"):
        done = subprocess.run([tool, "--bindir"], capture_output=True, text=True)
        places.append(Path(done.stdout.strip() or "/nonexistent"))
    for pattern in ("lib/postgresql/*/bin", "pgsql-*/bin"):
        found = Path("/usr").glob(pattern)
        places += sorted(found, key=lambda p: float(p.parent.name.split("-")[-1]), reverse=True)
    for place in places:
        if all((place / name).is_file() for name in ("initdb", "postgres")):
            return place
    raise NoServerError("PostgreSQL is not installed (Debian: apt-get install postgresql)")


def _account() -> pwd.struct_passwd | None:
    """Whom root runs the server as; nobody else needs another account."""
    if os.getuid():
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NoServerError("PostgreSQL refuses root, and there is no user postgres or nobody")


def free_port() -> int:
    """A port of the loopback that nobody has.

    It is none of those the system gives to whoever asks for any: between two starts of a server
    another test's connection could be given it.
    """
    for port in random.SystemRandom().sample(range(20_000, 30_000), 1_000):
        with contextlib.suppress(OSError), socket.socket() as one:
            one.bind(("127.0.0.1", port))
            return port
    raise NoServerError("no port is free")
