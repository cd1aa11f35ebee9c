"""Every kind of bridge is made by its process, stands on the page, and its example in Bonsai fits what is sent."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import get_args

import msgpack
import pytest
from support.paths import DOCS, REPOSITORY
from support.publishing import LOSSES, make_pose

from rtface.config import (
    BridgeSettings,
    JsonBridgeSettings,
    LslBridgeSettings,
    OpenEphysBridgeSettings,
    OscBridgeSettings,
)
from rtface.config.yamlfile import kinds_of
from rtface.core.defaults import LOOPBACK_JSON, LOOPBACK_OSC
from rtface.core.records import FACEMAP_KEYPOINTS
from rtface.publish.bridges.child import make_bridge
from rtface.publish.bridges.happenings import in_short
from rtface.publish.bridges.jsonbridge import JSON_TOPICS, JsonBridge
from rtface.publish.bridges.lsl import STREAMS, LslBridge
from rtface.publish.bridges.openephys import OpenEphysBridge
from rtface.publish.bridges.orders import BridgeKind
from rtface.publish.bridges.osc import PointMessages
from rtface.publish.bridges.oscbridge import OSC_EVENT, OscBridge, point_topics
from rtface.publish.bridges.processes import order_of
from rtface.publish.events import KINDS, EventMessage
from rtface.publish.keypoints import decode_keypoints, encode_keypoints
from rtface.publish.sockets import Context

BRIDGES = {
    "json": (JsonBridgeSettings(kind="json"), JsonBridge),
    "osc": (OscBridgeSettings(kind="osc"), OscBridge),
    "lsl": (LslBridgeSettings(kind="lsl"), LslBridge),
    "openephys": (OpenEphysBridgeSettings(kind="openephys"), OpenEphysBridge),
}
PAGE = (DOCS / "bridges.md").read_text(encoding="utf-8")
BONSAI = sorted((DOCS / "examples" / "bonsai").glob("*.bonsai"))


def test_every_kind_is_here_and_on_the_page() -> None:
    assert set(BRIDGES) == set(kinds_of(BridgeSettings)) == set(get_args(BridgeKind))
    table = re.search(r"^\| `kind` \|.*\n(?:\|.*\n)+", PAGE, re.MULTILINE)
    assert table is not None
    assert set(re.findall(r"^\| `(\w+)` \|", table[0], re.MULTILINE)) - {"kind"} == set(BRIDGES)
    for settings, _ in BRIDGES.values():
        for name in type(settings).model_fields:
            assert f"`{name}`" in table[0], name


@pytest.mark.parametrize("kind", BRIDGES)
def test_its_process_makes_it(context: Context, kind: str) -> None:
    settings, expected = BRIDGES[kind]
    assert isinstance(make_bridge(order_of(settings), context, None), expected)


def test_topics_streams_addresses_and_words_of_events_are_those_of_the_page() -> None:
    for name in (*(each.decode() for each in JSON_TOPICS.values()), OSC_EVENT.decode()):
        assert f"`{name}`" in PAGE
    assert all(f"| {name} |" in PAGE for name in STREAMS.values())
    assert LOOPBACK_JSON in PAGE
    assert LOOPBACK_OSC in PAGE
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (\w+) \|$", PAGE, re.MULTILINE)
    assert {kind for kind, _, _ in rows} - {"kind"} == set(KINDS)
    for kind, of, what in rows:
        if kind == "kind":
            continue
        event = EventMessage("a", 0, 1, kind, {of: "A", what: "B"})
        assert in_short(event) == ("A", "B")


def test_there_is_a_workflow_for_each_way_to_bonsai() -> None:
    page = (DOCS / "clients" / "bonsai.md").read_text(encoding="utf-8")
    assert len(BONSAI) == 2
    assert all(str(each.relative_to(REPOSITORY)) in page for each in BONSAI)
    assert "never opened in Bonsai" in page


@pytest.mark.parametrize("workflow", BONSAI, ids=lambda path: path.stem)
def test_a_workflow_asks_for_what_is_sent(workflow: Path) -> None:
    root = ElementTree.parse(workflow).getroot()
    osc, zmq = (f"{{clr-namespace:Bonsai.{name};assembly=Bonsai.{name}}}" for name in ("Osc", "ZeroMQ"))
    plain = "{https://bonsai-rx.org/2018/workflow}"
    message = decode_keypoints(encode_keypoints(msgpack.Packer(), "a", 0, make_pose(), LOSSES, 9))
    points = PointMessages(FACEMAP_KEYPOINTS)
    heads = [body.split(b",")[0].rstrip(b"\0").decode() for body in points.of(message, 0)]
    sent = dict.fromkeys(heads, "hffff") | {"/rtface/event": "hsss"}
    tags = {each.text for each in root.iter(f"{osc}TypeTag")}
    assert tags <= set(sent.values())
    for receive in root.iter(f"{plain}Expression"):
        address, tag = receive.find(f"{osc}Address"), receive.find(f"{osc}TypeTag")
        if address is not None:
            assert tag is not None
            assert sent[str(address.text)] == tag.text
    for topic in root.iter(f"{zmq}Topic"):
        assert str(topic.text).encode() in point_topics(FACEMAP_KEYPOINTS)
    for address in root.iter(f"{zmq}ConnectionString"):
        assert address.text == LOOPBACK_OSC.replace("127.0.0.1", "localhost").join((">", ""))
    nodes = root.findall(f"{plain}Workflow/{plain}Nodes/{plain}Expression")
    for edge in root.iter(f"{plain}Edge"):
        assert {int(str(edge.get("From"))), int(str(edge.get("To")))} <= set(range(len(nodes)))
