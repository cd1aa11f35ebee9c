"""Tables of events, and texts, in an NWB file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rtface.core.clock import NS_PER_S
from rtface.core.files import printable
from rtface.offline.export.events import EventTable, plain_column
from rtface.offline.export.source import ExportSource

_NOT_KNOWN = {"int": "; -1: not known", "float": "; NaN: not known"}


def add_events(made: Any, tables: Sequence[EventTable], recording: ExportSource) -> None:
    """Add tables of events to a `pynwb.NWBFile`."""
    from hdmf.common import VectorData
    from pynwb.event import DurationVectorData, EventsTable, TimestampVectorData

    for table in tables:
        times = recording.seconds(np.asarray(table.times_ns, np.int64))
        columns: list[Any] = [
            TimestampVectorData(name="timestamp", description="seconds since the session began", data=times)
        ]
        if table.ends_ns is not None:
            lasted = np.subtract(table.ends_ns, table.times_ns) / NS_PER_S
            columns.append(DurationVectorData(name="duration", description="in seconds", data=lasted))
        columns.append(
            VectorData(
                name="t_ns",
                description="the same, host's clock in ns",
                data=np.asarray(table.times_ns, np.int64),
            )
        )
        columns += [
            VectorData(
                name=each.name,
                description=each.about + _NOT_KNOWN.get(each.kind, ""),
                data=plain_column(each),
            )
            for each in table.columns
        ]
        made.add_events_table(
            EventsTable(
                name=table.name,
                description=table.about,
                source_description="the log of the session, as rtface recorded it",
                columns=columns,
            )
        )


def add_facts(module: Any, facts: Mapping[str, str]) -> None:
    """Add texts by name to a processing module, as a table."""
    from hdmf.common import DynamicTable, VectorData

    columns = [
        VectorData(name="fact", description="what it is", data=list(facts)),
        VectorData(
            name="text",
            description="as text; YAML or JSON where it has parts",
            data=[printable(each) for each in facts.values()],
        ),
    ]
    module.add(
        DynamicTable(
            name="recorded_facts",
            description="What the recording was made with: rig, rules, engine, machine, hashes, and what is missing.",
            columns=columns,
        )
    )
