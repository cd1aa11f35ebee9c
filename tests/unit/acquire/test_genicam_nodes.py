from __future__ import annotations

from types import SimpleNamespace

import pytest

from rtface.acquire.genicam.nodes import Nodes
from rtface.acquire.genicam.ptp import PtpWatch
from rtface.acquire.genicam.sensor import sensor_facts
from rtface.config import PtpSettings
from rtface.core.clock import NS_PER_S, ManualClock
from rtface.core.errors import CameraSettingError
from rtface.core.status import PtpStatus


class RefusedError(Exception):
    """What this fake device raises."""


class Quantised:
    """A float feature that only takes multiples of its step, as exposure times do."""

    def __init__(self, step: float) -> None:
        self._step, self._value = step, 0.0

    @property
    def value(self) -> float:
        return self._value

    @value.setter
    def value(self, value: float) -> None:
        self._value = round(value / self._step) * self._step


class Locked:
    """A feature that cannot be written now."""

    min, max = 0, 10

    @property
    def value(self) -> int:
        return 3

    @value.setter
    def value(self, value: int) -> None:
        raise RefusedError("locked : somewhere in the library")


def nodes(**features: object) -> Nodes:
    return Nodes(SimpleNamespace(**features), "test", (RefusedError,))


def test_a_float_may_differ_by_one_percent_and_no_more() -> None:
    near = nodes(ExposureTime=Quantised(8.0))
    near.set("ExposureTime", 995.0)
    assert near.verify() == {"ExposureTime": 992.0}
    far = nodes(ExposureTime=Quantised(80.0))
    far.set("ExposureTime", 995.0)
    with pytest.raises(CameraSettingError, match=r"ExposureTime was set to 995\.0 but reads back 960\.0"):
        far.verify()


def test_a_value_that_a_later_setting_changed_is_found() -> None:
    width = SimpleNamespace(value=0)
    device = nodes(Width=width, BinningHorizontal=SimpleNamespace(value=1))
    device.set("Width", 640)
    device.set("BinningHorizontal", 2)
    width.value = 320
    with pytest.raises(CameraSettingError, match="Width was set to 640 but reads back 320"):
        device.verify()


def test_a_rate_that_is_set_but_will_not_be_reached_is_an_error() -> None:
    device = nodes(AcquisitionFrameRate=Quantised(0.1), ResultingFrameRate=SimpleNamespace(value=60.0))
    device.set("AcquisitionFrameRate", 100.0)
    assert device.rate_hz() == 60.0
    with pytest.raises(
        CameraSettingError, match=r"ResultingFrameRate was set to 100\.0 but reads back 60\.0"
    ):
        device.verify()


def test_older_names_of_features_are_tried() -> None:
    device = nodes(AcquisitionFrameRateAbs=Quantised(0.5))
    device.set("AcquisitionFrameRate", 100.0)
    assert device.rate_hz() == 100.0


def test_a_refusal_says_what_is_possible() -> None:
    with pytest.raises(CameraSettingError, match=r"Gain cannot be set to 5 \(possible: 0 to 10\): locked$"):
        nodes(Gain=Locked()).set("Gain", 5)


def test_a_feature_that_another_depends_on_is_set_only_where_it_can_be() -> None:
    auto = SimpleNamespace(value="Continuous", symbolics=("Off", "Continuous"))
    device = nodes(ExposureAuto=auto, GainAuto=Locked())
    for name in ("ExposureAuto", "GainAuto", "BlackLevelAuto"):
        device.set_if_possible(name, "Off")
    assert auto.value == "Off"
    assert device.verify() == {"ExposureAuto": "Off"}


class Command:
    """A command that is done at the third time of asking, or never."""

    def __init__(self, asked: int = 2) -> None:
        self.executed, self._left = 0, asked

    def execute(self) -> None:
        self.executed += 1

    def is_done(self) -> bool:
        self._left -= 1
        return self._left < 0


def test_a_command_is_executed_once_and_waited_for() -> None:
    command = Command()
    device = nodes(UserSetLoad=command)
    device.set("UserSetLoad", True)
    assert command.executed == 1
    assert command._left == -1
    assert device.verify() == {}, "there is nothing to read back"


def test_a_command_that_is_never_done_is_an_error() -> None:
    clock = ManualClock(1)
    device = Nodes(SimpleNamespace(UserSetLoad=Command(10**9)), "test", (RefusedError,), clock)
    with pytest.raises(CameraSettingError, match="UserSetLoad was executed and is not done after 10 s"):
        device.set("UserSetLoad", True)
    assert clock.now_ns() >= 10 * NS_PER_S


def test_a_command_that_is_refused_or_set_is_an_error() -> None:
    def refuse() -> None:
        raise RefusedError("locked : somewhere in the library")

    device = nodes(DeviceReset=SimpleNamespace(execute=refuse))
    with pytest.raises(CameraSettingError, match=r"DeviceReset cannot be executed: locked$"):
        device.set("DeviceReset", True)
    with pytest.raises(CameraSettingError, match=r"DeviceReset is a command: .* not set to 'On'"):
        device.set("DeviceReset", "On")


def test_what_yaml_makes_of_on_and_off_is_understood() -> None:
    mode = SimpleNamespace(value="Off", symbolics=("Off", "On"))
    device = nodes(TriggerMode=mode)
    device.set("TriggerMode", True)
    assert mode.value == "On"
    assert device.verify() == {"TriggerMode": "On"}


class Selected:
    """A feature that a selector parts into several, as a device's description tells."""

    def __init__(self, selector: SimpleNamespace) -> None:
        self._selector = selector
        self._values: dict[object, object] = {}
        self.node = SimpleNamespace(
            selecting_features=[SimpleNamespace(node=SimpleNamespace(name="LineSelector"))]
        )

    @property
    def value(self) -> object:
        return self._values.get(self._selector.value)

    @value.setter
    def value(self, value: object) -> None:
        self._values[self._selector.value] = value


def test_each_feature_is_read_back_under_its_selector_which_stays_where_it_was() -> None:
    selector = SimpleNamespace(value="Line0")
    mode = Selected(selector)
    device = nodes(LineSelector=selector, LineMode=mode)
    for line, value in (("Line1", "Output"), ("Line2", "Input"), ("Line1", "Strobe")):
        device.set("LineSelector", line)
        device.set("LineMode", value)
    assert device.verify() == {
        "LineSelector": "Line1",
        "LineMode[Line1]": "Strobe",
        "LineMode[Line2]": "Input",
    }
    assert selector.value == "Line1"
    mode._values["Line2"] = "Output"
    with pytest.raises(
        CameraSettingError,
        match=r"^camera test: LineMode\[Line2\] was set to 'Input' but reads back 'Output'$",
    ):
        device.verify()
    assert selector.value == "Line1"


def test_what_cannot_be_selected_now_is_left_out() -> None:
    class Kept(SimpleNamespace):
        locked = False

        def __setattr__(self, name: str, value: object) -> None:
            if self.locked:
                raise RefusedError("locked")
            super().__setattr__(name, value)

    selector = Kept(value="Line0")
    device = nodes(LineSelector=selector, LineMode=Selected(selector))
    for line in ("Line1", "Line2"):
        device.set("LineSelector", line)
        device.set("LineMode", "Input")
    Kept.locked = True
    assert device.verify(streaming=True) == {"LineSelector": "Line2", "LineMode[Line2]": "Input"}


def test_all_that_differs_is_named_at_once() -> None:
    gain, width = SimpleNamespace(value=0), SimpleNamespace(value=0)
    device = nodes(Gain=gain, Width=width)
    device.set("Gain", 3)
    device.set("Width", 640)
    gain.value, width.value = 4, 320
    with pytest.raises(
        CameraSettingError,
        match="Gain was set to 3 but reads back 4; Width was set to 640 but reads back 320",
    ):
        device.verify()


@pytest.mark.parametrize(
    ("value", "whole"),
    [
        (2, 2),
        (2.0, 2),
        ("BinningHorizontal4", 4),
        ("X2", 2),
        ("Off", None),
        (1.5, None),
        (float("nan"), None),
    ],
)
def test_a_whole_number_may_be_an_enumeration_of_some_device(value: object, whole: int | None) -> None:
    assert nodes(BinningHorizontal=SimpleNamespace(value=value)).whole("BinningHorizontal") == whole
    assert sensor_facts(nodes(BinningHorizontal=SimpleNamespace(value=value))).get("binning_x") == whole


@pytest.mark.parametrize("error", [RefusedError, AttributeError, TypeError, ValueError, OverflowError])
def test_what_cannot_be_read_or_set_is_said_whatever_the_binding_raises(error: type[Exception]) -> None:
    class Broken:
        @property
        def value(self) -> int:
            raise error("no : way")

        @value.setter
        def value(self, value: int) -> None:
            raise error("no : way")

    device = nodes(Gain=Broken())
    assert device.get("Gain") is None
    assert device.whole("Gain") is None
    assert device.reader("Gain")() is None
    with pytest.raises(CameraSettingError, match=r"Gain cannot be read: no$"):
        device.require("Gain")
    with pytest.raises(CameraSettingError, match=r"Gain cannot be set to 1.*: no$"):
        device.set("Gain", 1)


def test_a_latch_that_is_never_done_does_not_hold_the_frames() -> None:
    latch = Command(10**9)
    device = nodes(
        PtpDataSetLatch=latch,
        PtpStatus=SimpleNamespace(value="Slave"),
        PtpOffsetFromMaster=SimpleNamespace(value=-7),
    )
    watch = PtpWatch(PtpSettings(), device)
    watch.look(NS_PER_S)
    assert latch.executed == 1
    assert (watch.status, watch.problem) == (PtpStatus("Slave", -7), "")
