"""The writer of a session's log: a thread of its own, so that nothing which is recorded waits for a disk."""

from __future__ import annotations

import shutil
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from pathlib import Path

from rtface.core.clock import NS_PER_S, SYSTEM_CLOCK, Clock, wall_ns
from rtface.core.errors import DataError
from rtface.core.machine import machine_facts
from rtface.record.seal.blocks import BLOCK, LAST_BLOCKS, SealedQueue
from rtface.record.seal.cipher import KEY_NAME, Cipher, fingerprint, make_key
from rtface.record.seal.cipher import NAME as CIPHER_NAME
from rtface.record.session import LOG_NAME
from rtface.record.session.batches import totals, write_queue
from rtface.record.session.coding import encode
from rtface.record.session.entries import (
    ENTRIES,
    ClosedEntry,
    DecisionEntry,
    Entry,
    FaultEntry,
    OpenedEntry,
    SealedEntry,
    SealEntry,
    SecretEntry,
    SyncedEntry,
    UnrecordedEntry,
)
from rtface.record.session.identity import FileIdentity
from rtface.record.session.log import DiskFile, LogFile, LogWriter
from rtface.record.session.reserve import AHEAD, Reserve, cost
from rtface.record.session.rows import FEATURES, POSES_WITH_LIKELIHOOD, ROW_NAMES, base_kind
from rtface.record.session.shortfalls import EVENTS, Shortfalls

POLL_S = 0.05
"""Seconds between two visits to the queue: what a killed process can lose, on a disk that keeps up."""

_OF_A_BLOCK = 256
"""Most bytes of a block without padding beside the entries in it: each sets them aside, as it may be alone."""

SYNC_NS = NS_PER_S
"""Nanoseconds between two calls of fsync: what a power failure can lose."""


class SessionWriter:
    """Writes a session's log; every ``put`` may come from any thread and never waits.

    Rows (what comes with every frame) and events go through one queue, in order. What finds no room there is
    counted, and the counts are recorded; an event that finds none is a fault as well, since the record is no proof
    without it. Events have room of their own that rows cannot take.

    What was taken has its room in the log for certain: the file is allocated ahead of what is written (`Reserve`). When
    no more can be allocated there is a fault (``write``), while what is left is enough for the end of the session.

    Parameters
    ----------
    folder : Path
        The session's folder, which must not be there yet; see `rtface.record.session.session_folder`.
    session : str
        Id of the session.
    widths : mapping of int to int
        Width of the rows of each kind, as `rtface.record.session.packing.Packer` makes them.
    queue_rows, queue_events : int
        Most rows that may wait, and how many more events.
    min_free_bytes : int
        With less room on the disk there is a fault (``space``); recording goes on.
    stall_s : float
        Seconds without an answer of the disk after which there is a fault (``stalled``).
    on_fault : callable
        Called with each kind of fault once, in the thread that finds it, which may be a ``put``'s: it must return
        at once. The fault is in `fault` by then.
    clock : Clock
        Source of time.
    open_file, free_bytes : callable
        Make the log's file, and return the room left in a folder in bytes.
    reserve_bytes : int
        Allocated ahead of the log; less where there is not so much room.
    sealed : bool
        Whether there is a seal, for what `put_sealed` is given: blocks of one size, one at each visit to the queue and some
        at the end, so that the log's bytes, sizes and counts do not depend on what is in them.
    """

    def __init__(
        self,
        folder: Path,
        session: str,
        widths: Mapping[int, int],
        *,
        queue_rows: int = 30_000,
        queue_events: int = 10_000,
        min_free_bytes: int = 256 * 1024 * 1024,
        stall_s: float = 2.0,
        on_fault: Callable[[FaultEntry], None] = lambda fault: None,
        clock: Clock = SYSTEM_CLOCK,
        open_file: Callable[[Path], LogFile] = DiskFile,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
        reserve_bytes: int = AHEAD,
        sealed: bool = False,
    ) -> None:
        self.folder = folder
        self._session = session
        self._widths = widths
        self._most_rows, self._most = queue_rows, queue_rows + queue_events
        self._min_free_bytes = min_free_bytes
        self._stall_ns = int(stall_s * NS_PER_S)
        self._on_fault = on_fault
        self._clock = clock
        self._open_file, self._free_bytes = open_file, free_bytes
        self._queue: deque[tuple[int, bytes]] = deque()
        self._handing = threading.Lock()
        self._shortfalls = Shortfalls()
        self._accepting = False
        self._alive_ns = self._synced_ns = 0
        self._stopping = threading.Event()
        self._reason = ""
        self._reserve_bytes = reserve_bytes
        self._with_seal = sealed
        self._sealed: SealedQueue | None = None
        self._events = self._features = 0
        self._sealed_counts: Counter[str] = Counter()
        self._log: LogWriter | None = None
        self._reserve: Reserve | None = None
        self._extended_ns: int | None = None
        self._watched: list[FileIdentity] = []
        self._thread = threading.Thread(target=self._run, name="rtface-record", daemon=True)

    @property
    def fault(self) -> FaultEntry | None:
        """The first fault; None while all is well. Cheap enough for every frame."""
        return self._shortfalls.fault

    @property
    def faults(self) -> tuple[FaultEntry, ...]:
        """The first fault of each kind, in order."""
        return self._shortfalls.faults

    @property
    def fingerprint(self) -> str:
        """The chain after the last record written, hexadecimal: with it the content of the log is fixed."""
        return "" if self._log is None else self._log.chain.hex()

    def open(self) -> None:
        """Make the folder and the log, and begin.

        Raises
        ------
        DataError
            The folder is there already, or cannot be written.
        """
        try:
            self.folder.mkdir(parents=True)
            self._log = LogWriter(self._open_file(self.folder / LOG_NAME))
            self._reserve = Reserve(self._log, self._reserve_bytes)
            now_ns = self._clock.now_ns()
            opened = OpenedEntry(now_ns, wall_ns(), self._session, machine_facts())
            self._log.append(opened.kind, encode(opened))
            if self._with_seal:
                key = make_key(self.folder)
                self._sealed = SealedQueue(Cipher(key))
                seal = SealEntry(now_ns, CIPHER_NAME, fingerprint(key))
                self._log.append(seal.kind, encode(seal))
                self._events = 1
                self.watch(self.folder / KEY_NAME)
            self._log.commit()
            self._log.sync()
            self._reserve.settle(0)
        except OSError as error:
            if self._log is not None:
                self._log.close()
            raise DataError(f"cannot record into {self.folder}: {error.strerror or error}") from error
        self._alive_ns = self._synced_ns = now_ns
        self._accepting = True
        self._thread.start()

    def put(self, entry: Entry) -> bool:
        """Hand over an event; False when it could not be taken: for want of room, which is a fault, or after the end.

        Raises
        ------
        UsageError
            The event holds a value that cannot be recorded.
        """
        payload = encode(entry)
        self._check_stall()
        if self._queued(entry.kind, payload, self._most):
            return True
        self._shortfalls.count(EVENTS)
        if self._accepting:  # else the recording has ended, and what ended it is the fault
            self._report("lost", f"no room for {entry.name} in the record", entry.t_ns)
        return False

    def put_sealed(self, entry: Entry) -> bool:
        """Hand over an event for the seal; as `put`, and as certain of its room."""
        payload = encode(entry)
        self._check_stall()
        sealed, reserve = self._sealed, self._reserve
        room_of = DecisionEntry.kind if entry.kind == SecretEntry.kind else entry.kind
        with self._handing:
            if (
                self._accepting
                and sealed is not None
                and reserve is not None
                and len(sealed) < self._most
                and reserve.take(room_of, payload, _OF_A_BLOCK)
            ):
                sealed.put(self._events, self._features, entry.kind, payload)
                self._sealed_counts[entry.name] += 1
                return True
        self._shortfalls.count(EVENTS)
        if self._accepting:
            self._report("lost", "no room for a sealed event in the record", entry.t_ns)
        return False

    def put_row(self, kind: int, row: bytes) -> bool:
        """Hand over a packed row; False when it found no room and was counted."""
        if base_kind(kind) <= POSES_WITH_LIKELIHOOD:  # once a frame is enough
            self._check_stall()
        if self._queued(kind, row, self._most_rows):
            return True
        self._shortfalls.count(ROW_NAMES[kind])
        return False

    def watch(self, path: Path) -> None:
        """From now on there is a fault, too, when this file of the session is no longer at its path; `OSError` as of `stat`."""
        self._watched.append(FileIdentity(path))

    def close(self, reason: str = "ended", timeout_s: float = 10.0) -> bool:
        """Write what waits, close the log and end the thread; True when all this was done in time.

        May be called any number of times. After a fault that ended the recording it returns False.
        """
        if self._log is None:
            return False
        if not self._stopping.is_set():
            self._reason = reason
            self._stopping.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive() and not {"write", "gone", "internal"} & {
            each.what for each in self.faults
        }

    def _queued(self, kind: int, data: bytes, most: int) -> bool:
        with self._handing:
            reserve = self._reserve
            if (
                self._accepting
                and len(self._queue) < most
                and reserve is not None
                and reserve.take(kind, data)
            ):
                self._queue.append((kind, data))
                if kind in ENTRIES:
                    self._events += 1
                elif base_kind(kind) == FEATURES:
                    self._features += 1
                return True
        return False

    def _check_stall(self) -> None:
        """Find out whether the thread that writes has come back from the disk lately."""
        now_ns = self._clock.now_ns()
        if self._accepting and now_ns - self._alive_ns > self._stall_ns:
            self._report("stalled", f"the disk has not answered for {self._stall_ns / NS_PER_S:g} s", now_ns)

    def _report(self, what: str, text: str, now_ns: int) -> None:
        """Note a fault once, record it and notify the owner."""
        fault = self._shortfalls.note(what, text, now_ns)
        if fault is not None:
            self._queued(fault.kind, encode(fault), sys.maxsize)
            self._on_fault(fault)

    def _run(self) -> None:
        log, reserve = self._log, self._reserve
        if log is None or reserve is None:
            return
        try:
            while not self._stopping.wait(POLL_S):
                self._visit(log, reserve)
            with self._handing:
                self._accepting = False
                if self._sealed is not None:  # in the room that is kept for the end
                    totals_of = SecretEntry(self._clock.now_ns(), None, {"totals": dict(self._sealed_counts)})
                    self._sealed.put(self._events, self._features, totals_of.kind, encode(totals_of))
            self._check_files(log)
            self._drain(log, reserve, last=True)
            self._end(log, self._reason)
        except OSError as error:
            self._break_off(log, "write", f"cannot write {self.folder}: {error.strerror or error}")
        except BaseException as error:  # a silent end would be worse than any fault
            self._break_off(log, "internal", f"the recorder failed: {type(error).__name__}: {error}")
        finally:
            log.close()

    def _visit(self, log: LogWriter, reserve: Reserve) -> None:
        self._drain(log, reserve)
        self._check_files(log)
        now_ns = self._clock.now_ns()
        if reserve.low:
            self._extend(reserve, now_ns)
        if now_ns - self._synced_ns >= SYNC_NS:
            log.sync()
            self._synced_ns = now_ns
            synced = SyncedEntry(self._clock.now_ns(), log.size, log.reserved)
            log.append(synced.kind, encode(synced))
            if self._room() < self._min_free_bytes:
                self._report(
                    "space", f"less than {self._min_free_bytes >> 20} MiB left for {self.folder}", now_ns
                )
        self._alive_ns = self._clock.now_ns()

    def _room(self) -> int:
        """Return the room left on the disk; the least that is asked for where the folder is gone, which is no lack of room."""
        try:
            return self._free_bytes(self.folder)
        except FileNotFoundError:
            return self._min_free_bytes

    def _check_files(self, log: LogWriter) -> None:
        """Find out whether what is written is still found at its path, which no write would notice."""
        for problem in (log.problem(), *(each.problem() for each in self._watched)):
            if problem:
                self._report("gone", problem, self._clock.now_ns())

    def _extend(self, reserve: Reserve, now_ns: int) -> None:
        """Allocate more room ahead of the log; where there is none, try again each second."""
        if self._extended_ns is not None and now_ns - self._extended_ns < SYNC_NS:
            return
        if reserve.extend():
            self._extended_ns = None
            with self._handing:
                reserve.settle(0)
            return
        self._extended_ns = now_ns
        text = f"cannot write {self.folder} much longer: No space left on device"
        self._report("write", f"{text}; {reserve.left >> 10} KiB are kept for the end of the session", now_ns)

    def _drain(self, log: LogWriter, reserve: Reserve, *, last: bool = False) -> None:
        """Write what waits now; of what is sealed one block, or all when it is the last time.

        The block comes first, and what it belongs to in the clear after it: so a decision that is left of a log which is cut
        off has its secret, too.
        """
        count = len(self._queue)
        taken = self._write_sealed(log, reserve, last=last)
        taken += write_queue(log, self._queue, self._widths, count)
        self._record_lost(log)
        log.commit()
        with self._handing:
            reserve.settle(taken)

    def _write_sealed(self, log: LogWriter, reserve: Reserve, *, last: bool) -> int:
        """Write a block of what is sealed, or all and `LAST_BLOCKS` at least; return what that was, by `reserve.cost`."""
        sealed, taken, blocks = self._sealed, 0, 0
        while sealed is not None and (not blocks or (last and (blocks < LAST_BLOCKS or len(sealed)))):
            with self._handing:
                padded = reserve.spares(2 * BLOCK)
                if not padded and not len(sealed):
                    break
                number, data, items = sealed.block(padded=padded)
            entry = SealedEntry(self._clock.now_ns(), number, data)
            log.append(entry.kind, encode(entry))
            taken += sum(cost(each.payload) + _OF_A_BLOCK for each in items)
            blocks += 1
        return taken

    def _record_lost(self, log: LogWriter) -> None:
        """Record the counts of what found no room, when they have changed."""
        counts = self._shortfalls.changed()
        if counts is not None:
            entry = UnrecordedEntry(self._clock.now_ns(), **counts)
            log.append(entry.kind, encode(entry))

    def _end(self, log: LogWriter, reason: str) -> None:
        closed = ClosedEntry(self._clock.now_ns(), wall_ns(), reason, totals(log))
        log.append(closed.kind, encode(closed))
        log.commit()
        log.sync()

    def _break_off(self, log: LogWriter, what: str, text: str) -> None:
        """End after an error: what is in the file stays valid; its cause follows it if there is room."""
        with self._handing:
            self._accepting = False
        now_ns = self._clock.now_ns()
        lost = Counter(kind for kind, _ in self._queue) + log.forgotten
        if self._sealed is not None:
            lost += self._sealed.clear()
        del lost[SyncedEntry.kind]
        for kind, count in lost.items():
            self._shortfalls.count(ROW_NAMES.get(kind, EVENTS), count)
        self._queue.clear()
        self._report(what, text, now_ns)
        fault = FaultEntry(now_ns, what, text)
        try:
            log.append(fault.kind, encode(fault))
            self._record_lost(log)
            log.commit()
            self._end(log, what)
        except OSError:
            return
