"""Keys for sockets that other machines can reach: making them, loading them, and admitting only known clients.

A folder of keys belongs to one service::

    server.key  server.key_secret     who the service is
    clients/NAME.key                  whom it admits; delete a file and restart to shut a client out
    hand_over/NAME/                   what client NAME needs: its own keys and the service's public key

CURVE encrypts every connection and proves both ends.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import copyfile

import zmq
from zmq.auth import create_certificates, load_certificate
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils import z85

from rtface.core.errors import AddressError, UsageError
from rtface.core.files import visible

_DOMAIN = "rtface"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEY_CHARACTERS = 40

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """The service's key pair and the public keys of the clients that it admits, in Z85, with the clients' names."""

    public: bytes
    secret: bytes = field(repr=False)
    clients: frozenset[bytes]
    names: Mapping[bytes, str] = field(default_factory=dict)
    folder: Path | None = None
    """Where they were read; a client whose public key is taken out of its `clients` is revoked."""


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """A client's key pair and the public key of the service that it trusts, in Z85."""

    public: bytes
    secret: bytes = field(repr=False)
    server: bytes

    def protect(self, socket: zmq.Socket[bytes]) -> None:
        """Make a socket prove itself, and demand proof of the service; before it connects."""
        socket.curve_publickey = self.public
        socket.curve_secretkey = self.secret
        socket.curve_serverkey = self.server


def make_keys(folder: Path, clients: Iterable[str]) -> list[Path]:
    """Make a service's keys and those of its first clients.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    clients : iterable of str
        Names of letters, digits, ``-`` and ``_``.

    Returns
    -------
    list of Path
        The folders to hand over, one a client.

    Raises
    ------
    UsageError
        A name is malformed, or keys are there already: they are never overwritten.
    AddressError
        A file cannot be written.
    """
    names = _checked(clients)
    _refuse_existing(folder / "server.key", folder / "server.key_secret", *_places(folder, names))
    with _writing(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_pair(folder, "server", folder)
    return [_make_client(folder, name) for name in names]


def add_client(folder: Path, name: str) -> Path:
    """Make keys for one more client of a service that has keys, and return the folder to hand over.

    The service reads its clients when it starts. Errors as of `make_keys`.
    """
    (name,) = _checked([name])
    _refuse_existing(*_places(folder, [name]))
    _load(folder / "server.key", secret=False)
    return _make_client(folder, name)


def load_server_keys(folder: Path) -> ServerKeys:
    """Load what a service needs from its folder of keys.

    Raises
    ------
    AddressError
        A file is missing or no key; the message names it.
    """
    public, secret = _load(folder / "server.key_secret", secret=True)
    files = sorted(visible((folder / "clients").glob("*.key")))
    names = {_load(file, secret=False)[0]: file.stem for file in files}
    return ServerKeys(public, secret, frozenset(names), names, folder)


def with_own_client(keys: ServerKeys) -> tuple[ServerKeys, ClientKeys]:
    """Return a service's keys with one more client, a process of its own, and the keys of that, which are kept nowhere."""
    public, secret = zmq.curve_keypair()
    return replace(keys, clients=keys.clients | {public}), ClientKeys(public, secret, keys.public)


def load_client_keys(folder: Path) -> ClientKeys:
    """Load what a client needs from the folder that was handed over to it; errors as of `load_server_keys`."""
    public, secret = _load(folder / "client.key_secret", secret=True)
    return ClientKeys(public, secret, _load(folder / "server.key", secret=False)[0])


class _Named(ThreadAuthenticator):
    """Tells the sockets the name of each client in place of its key."""

    names: Mapping[bytes, str]

    def curve_user_id(self, client_public_key: bytes) -> str:
        return self.names.get(z85.encode(client_public_key), "")


class Guard:
    """Admits known clients to the sockets of one ZeroMQ context; runs a thread of its own.

    Close it after the sockets that it protects: one that outlives its guard admits nobody new.

    Parameters
    ----------
    context : zmq.Context
        The context of the sockets; it can have one guard.
    keys : ServerKeys
        Who the service is and whom it admits.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keys: ServerKeys) -> None:
        self._context = context
        self._keys = keys
        self._authenticator: ThreadAuthenticator | None = None

    def open(self) -> None:
        """Begin to answer for the sockets of the context."""
        if self._authenticator is not None:
            raise UsageError("the guard is open already")
        authenticator = _Named(self._context)
        authenticator.names = self._keys.names
        authenticator.configure_curve_callback(_DOMAIN, self)
        authenticator.start()
        self._authenticator = authenticator

    def protect(self, socket: zmq.Socket[bytes]) -> None:
        """Make a socket admit known clients alone; before it is bound."""
        if self._authenticator is None:
            raise UsageError("the guard must be open before a socket is protected")
        socket.zap_domain = _DOMAIN.encode()
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        socket.curve_server = 1
        socket.curve_publickey = self._keys.public
        socket.curve_secretkey = self._keys.secret

    def callback(self, domain: str, key: bytes) -> bool:  # the name that pyzmq's authenticator calls
        """Return whether the client with this public key, in Z85, is admitted."""
        known = key in self._keys.clients and not self.revoked(self._keys.names.get(key, ""))
        if not known:
            _log.warning("refused a client with the unknown key %s", key.decode("ascii", "replace"))
        return known

    def revoked(self, name: str) -> bool:
        """Whether a client's key was taken out of the folder since the service began."""
        folder = self._keys.folder
        return bool(name) and folder is not None and not (folder / "clients" / f"{name}.key").exists()

    def close(self) -> None:
        """Stop answering and join the thread; may be called at any time, any number of times."""
        authenticator, self._authenticator = self._authenticator, None
        if authenticator is not None:
            authenticator.stop()


def _checked(names: Iterable[str]) -> list[str]:
    checked = list(names)
    for name in checked:
        if not _NAME.fullmatch(name):
            raise UsageError(f"a client's name has 1 to 64 letters, digits, - and _, not {name!r}")
    if len(set(checked)) < len(checked):
        raise UsageError(f"a client's name is there twice: {', '.join(checked)}")
    return checked


def _places(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    for name in names:
        yield folder / "clients" / f"{name}.key"
        yield folder / "hand_over" / name


def _refuse_existing(*places: Path) -> None:
    for place in places:
        if place.exists():
            raise UsageError(f"{place} is there already; keys are never overwritten, move it away yourself")


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AddressError(f"keys cannot be written to {folder}: {error}") from error


def _make_client(folder: Path, name: str) -> Path:
    clients, hand_over = folder / "clients", folder / "hand_over" / name
    with _writing(folder):
        clients.mkdir(exist_ok=True)
        hand_over.mkdir(mode=0o700, parents=True)
        _make_pair(folder, "client", hand_over)
        copyfile(folder / "server.key", hand_over / "server.key")
        copyfile(hand_over / "client.key", clients / f"{name}.key")
    return hand_over


def _make_pair(folder: Path, name: str, to: Path) -> None:
    """Make a pair in a folder that only its owner can enter, so that a secret is never readable by others."""
    with tempfile.TemporaryDirectory(dir=folder) as closed:
        public, secret = create_certificates(closed, name)
        Path(secret).chmod(0o600)
        os.replace(secret, to / f"{name}.key_secret")
        os.replace(public, to / f"{name}.key")


def _load(file: Path, secret: bool) -> tuple[bytes, bytes]:
    """Return the public and the secret key in a file; the secret one is empty unless `secret`."""
    try:
        public, private = load_certificate(file)
    except (OSError, ValueError) as error:
        raise AddressError(f"no key in {file}: {error}; `rtface keys new` makes keys") from error
    for key in (public, private) if secret else (public,):
        if key is None or not _is_key(key):
            raise AddressError(f"no key in {file}: a key has {_KEY_CHARACTERS} characters of Z85")
    return public, (private or b"") if secret else b""


def _is_key(text: bytes) -> bool:
    if len(text) != _KEY_CHARACTERS or not set(text) <= set(z85.Z85CHARS):
        return False
    return len(z85.decode(text)) == 32
