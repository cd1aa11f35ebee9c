"""What a simulated camera can be set to: one table, from which its registers and its description are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["int", "float", "bool", "enum", "command"]
BIG = 2**62


@dataclass(frozen=True)
class Feature:
    """One feature, held in one register of 8 bytes, or in one for each value of its selector.

    Attributes
    ----------
    name : str
    kind : {'int', 'float', 'bool', 'enum', 'command'}
    default : int or float
    low, high : int, float or str
        Limits; a string names the feature that is the limit.
    step : int
    entries : dict of str to int
        The values of an enumeration.
    writable : bool
    locked : bool
        It cannot be written while frames flow.
    selector : str
        Feature that says which of the registers is meant.
    only_if : str
        Feature that must not be 0 for this one to exist.
    """

    name: str
    kind: Kind
    default: float = 0
    low: float | str = -BIG
    high: float | str = BIG
    step: int = 1
    entries: dict[str, int] | None = None
    writable: bool = True
    locked: bool = False
    selector: str = ""
    only_if: str = ""


def number(
    name: str, default: int = 0, low: float | str = -BIG, high: float | str = BIG, **more: object
) -> Feature:
    return Feature(name, "int", default, low, high, **more)  # type: ignore[arg-type]


def real(name: str, default: float, low: float, high: float, **more: object) -> Feature:
    return Feature(name, "float", default, low, high, **more)  # type: ignore[arg-type]


def choice(name: str, entries: str | dict[str, int], default: str, **more: object) -> Feature:
    values = {word: at for at, word in enumerate(entries.split())} if isinstance(entries, str) else entries
    return Feature(name, "enum", values[default], entries=values, **more)  # type: ignore[arg-type]


def switch(name: str, default: int = 0, **more: object) -> Feature:
    return Feature(name, "bool", default, **more)  # type: ignore[arg-type]


def command(name: str) -> Feature:
    return Feature(name, "command")


def told(name: str, kind: Kind = "int", **more: object) -> Feature:
    """Return a feature that only the camera writes."""
    return Feature(name, kind, writable=False, **more)  # type: ignore[arg-type]


PIXEL_FORMATS = {
    "Mono8": 0x01080001,
    "Mono10": 0x01100003,
    "Mono12": 0x01100005,
    "Mono14": 0x01100025,
    "Mono16": 0x01100007,
    "Mono10p": 0x010A0046,
    "Mono12p": 0x010C0047,
    "Mono12Packed": 0x010C0006,
    "BayerGR8": 0x01080008,
    "BayerRG8": 0x01080009,
    "BayerGB8": 0x0108000A,
    "BayerBG8": 0x0108000B,
    "RGB8": 0x02180014,
    "BGR8": 0x02180015,
}
"""By the names and values of GenICam's Pixel Format Naming Convention."""

LINES = 4
LINE = "Line0 Line1 Line2 Line3"
CHUNKS = {"FrameID": 1, "Timestamp": 2, "ExposureTime": 3, "CounterValue": 4, "LineStatusAll": 5}
"""Each chunk and its place; its ChunkID is 0x1000 more."""

PICTURE = [
    told("SensorWidth", default=800),
    told("SensorHeight", default=600),
    told("WidthMax"),
    told("HeightMax"),
    number("Width", 640, 16, "WidthMax", step=4, locked=True),
    number("Height", 480, 16, "HeightMax", step=2, locked=True),
    told("OffsetXMax"),
    told("OffsetYMax"),
    number("OffsetX", 0, 0, "OffsetXMax", step=2),
    number("OffsetY", 0, 0, "OffsetYMax", step=2),
    number("BinningHorizontal", 1, 1, 4, locked=True),
    number("BinningVertical", 1, 1, 4, locked=True),
    choice("PixelFormat", PIXEL_FORMATS, "Mono8", locked=True),
    told("PayloadSize"),
]

ACQUISITION = [
    number("TLParamsLocked", 0, 0, 1),
    choice("AcquisitionMode", "Continuous SingleFrame", "Continuous", locked=True),
    command("AcquisitionStart"),
    command("AcquisitionStop"),
    switch("AcquisitionFrameRateEnable", 1),
    real("AcquisitionFrameRate", 100.0, 0.1, 5000.0),
    told("ResultingFrameRate", "float", only_if="HasResultingFrameRate"),
    real("ExposureTime", 1000.0, 10.0, 10_000_000.0),
    choice("ExposureAuto", "Off Continuous", "Off"),
    real("Gain", 0.0, 0.0, 24.0),
    choice("GainAuto", "Off Continuous", "Off"),
    choice("FramePacing", "Timed OnDemand", "Timed", locked=True),
    told("FrameCount"),
]

TRIGGER = [
    choice("TriggerSelector", "FrameStart AcquisitionStart", "FrameStart"),
    choice("TriggerMode", "Off On", "Off", selector="TriggerSelector"),
    choice("TriggerSource", "Software " + LINE, "Software", selector="TriggerSelector"),
    choice("TriggerActivation", "RisingEdge FallingEdge", "RisingEdge", selector="TriggerSelector"),
    real("TriggerDelay", 0.0, 0.0, 1_000_000.0, selector="TriggerSelector"),
    choice("TriggerOverlap", "Off ReadOut", "Off", selector="TriggerSelector"),
    command("TriggerSoftware"),
    told("TriggerCount"),
    told("TriggerMissedCount"),
    choice("LineSelector", LINE, "Line0"),
    choice("LineMode", "Input Output", "Input", selector="LineSelector"),
    choice("LineSource", "Off ExposureActive FrameActive", "Off", selector="LineSelector"),
    switch("LineInverter", selector="LineSelector"),
    told("LineStatus"),
    told("LineStatusAll"),
    number("LinePatternBits", -1, selector="LineSelector"),
    number("LinePatternSlots", 1, 1, 63, selector="LineSelector"),
    real("LinePatternSlotUs", 10_000.0, 100.0, 10_000_000.0, selector="LineSelector"),
]

CHUNK = [
    switch("ChunkModeActive", locked=True),
    choice("ChunkSelector", {name: at - 1 for name, at in CHUNKS.items()}, "FrameID"),
    switch("ChunkEnable", 1, selector="ChunkSelector"),
]

DEVICE = [
    told("DeviceTemperature", "float", default=45.5),
    told("DeviceLinkSpeed", default=125_000_000),
    number("DeviceLinkThroughputLimit", 125_000_000, 1_000_000, 125_000_000),
    told("IsGigE"),
    number("GevSCPSPacketSize", 1500, 576, 9000, only_if="IsGigE"),
    told("GevTimestampTickFrequency", only_if="IsGigE"),
    command("DeviceReset"),
    command("TimestampLatch"),
    told("TimestampLatchValue"),
    command("TimestampReset"),
    choice("UserSetSelector", "Default UserSet1", "Default"),
    command("UserSetLoad"),
    command("UserSetSave"),
    switch("PtpEnable"),
    choice("PtpStatus", "Disabled Listening Uncalibrated Slave Faulty", "Disabled", writable=False),
    command("PtpDataSetLatch"),
    told("PtpOffsetFromMaster"),
]

FAULTS = [
    number("FaultIncompleteEvery", 0, 0),
    number("FaultIncompleteFrom", 0, 0),
    real("FaultIncompleteFill", 0.5, 0.0, 1.0),
    switch("FaultIncompleteFlag", 1),
    number("FaultDropEvery", 0, 0),
    number("FaultSizeFrom", 0, 0),
    number("FaultPaddingX", 0, 0, 4096, locked=True),
    number("FaultImageOffset", 0, 0, 4096, locked=True),
    choice("FaultIds", "Normal Absent Constant", "Normal"),
    number("FaultIdBits", 0, 0, 63),
    switch("FaultIdSkipsZero"),
    number("FaultIdFirst", 1, 0),
    choice("FaultStamps", "Both TicksOnly Missing Zero", "Both"),
    number("FaultStampStepFrom", 0, 0),
    number("FaultStampStepNs"),
    real("FaultStampDriftPpm", 0.0, -1e6, 1e6),
    number("FaultStampBits", 0, 0, 63),
    number("FaultStampStartNs"),
    switch("FaultStampBit63"),
    number("FaultTickHz", 0, 0),
    number("FaultErrorEvery", 0, 0),
    number("FaultErrorTimes", 1, 0),
    choice(
        "FaultErrorCode",
        {"Error": -1001, "Busy": -1022, "ResourceExhausted": -1020, "NoData": -1008, "Abort": -1012},
        "Busy",
    ),
    number("FaultStallAt", 0, 0),
    number("FaultStallMs", 0, 0),
    choice("FaultHangIn", "Nothing Start Fetch Stop", "Nothing"),
    number("FaultHangAt", 1, 0),
    number("FaultHangMs", 3_600_000, 0),
    number("FaultAbortAt", 0, 0),
    number("FaultDisconnectAt", 0, 0),
    number("FaultDisconnectMs", 0, -1),
    real("FaultRateOnceStreaming", 0.0, 0.0, 5000.0),
    real("FaultExposureOnceStreaming", 0.0, 0.0, 10_000_000.0),
    switch("HasResultingFrameRate", 1),
    choice("FaultPtpStatus", "None Listening Uncalibrated Slave Faulty", "None"),
    number("FaultPtpOffsetNs", 100),
]

CAMERA = [*PICTURE, *ACQUISITION, *TRIGGER, *CHUNK, *DEVICE, *FAULTS]
"""All features of the camera itself."""

STREAM = [
    choice("StreamBufferHandlingMode", "OldestFirst OldestFirstOverwrite NewestOnly", "OldestFirst"),
    told("StreamDeliveredFrameCount"),
    told("StreamLostFrameCount"),
    told("StreamInputBufferCount"),
]
"""All features of the driver's data stream."""

TEXTS = ["DeviceVendorName", "DeviceModelName", "DeviceSerialNumber", "DeviceVersion"]
SELECTED = {"TriggerSelector": 2, "LineSelector": LINES, "ChunkSelector": len(CHUNKS)}
"""How many registers a selected feature has."""
