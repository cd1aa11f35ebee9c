/* Registers that are more than kept numbers: commands, limits, and what is measured when it is read. */
#include <string.h>

#define WITH_DESCRIPTIONS
#include "producer.h"

enum { RESET_MS = 500 };

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static void limit_region(struct device *device) {
    INT(device, WidthMax) = INT(device, SensorWidth) / INT(device, BinningHorizontal) & ~3;
    INT(device, HeightMax) = INT(device, SensorHeight) / INT(device, BinningVertical) & ~1;
    INT(device, Width) = least(INT(device, Width), INT(device, WidthMax));
    INT(device, Height) = least(INT(device, Height), INT(device, HeightMax));
    INT(device, OffsetXMax) = INT(device, WidthMax) - INT(device, Width);
    INT(device, OffsetYMax) = INT(device, HeightMax) - INT(device, Height);
    INT(device, OffsetX) = least(INT(device, OffsetX), INT(device, OffsetXMax));
    INT(device, OffsetY) = least(INT(device, OffsetY), INT(device, OffsetYMax));
}

void before_reading(struct device *device) {
    struct stream *stream = &device->stream;
    int64_t now = now_ns(), line = INT(device, LineSelector);
    limit_region(device);
    INT(device, PayloadSize) = (int64_t)payload_bytes(device);
    REAL(device, ResultingFrameRate) = 1 / period_s(device);
    INT(device, GevTimestampTickFrequency) = tick_hz(device);
    INT(device, FrameCount) = stream->made;
    INT(device, TriggerCount) = stream->triggers;
    INT(device, TriggerMissedCount) = stream->missed;
    INT(device, LineStatusAll) = line_levels(device, now, false);
    INT(device, LineStatus) = INT(device, LineStatusAll) >> line & 1;
    INT(device, PtpStatus) = !INT(device, PtpEnable) ? R_PtpStatus_Disabled
        : INT(device, FaultPtpStatus) ? INT(device, FaultPtpStatus) : R_PtpStatus_Slave;
}

/* A user set holds all but the faults and what the camera says of itself. */
static void copy_settings(struct device *device, union value *to, const union value *from) {
    int64_t gige = INT(device, IsGigE);
    memcpy(to, from, sizeof(union value) * R_FaultIncompleteEvery);
    to[R_IsGigE].i = gige;
}

static void load_user_set(struct device *device) {
    int64_t chosen = INT(device, UserSetSelector), locked = INT(device, TLParamsLocked);
    copy_settings(device, device->registers, chosen ? device->saved : R_DEFAULTS);
    INT(device, UserSetSelector) = chosen;
    INT(device, TLParamsLocked) = locked;
}

static void trigger_by_software(struct device *device) {
    struct stream *stream = &device->stream;
    if (!stream->acquiring || !INT(device, TriggerMode) || INT(device, TriggerSource)) return;
    if (!stream->software) stream->software_ns = now_ns();
    stream->software++;
}

void after_writing(struct device *device, int place) {
    switch (place) {
        case R_AcquisitionStart: acquisition_start(device); break;
        case R_AcquisitionStop: acquisition_stop(device); break;
        case R_TriggerSoftware: trigger_by_software(device); break;
        case R_UserSetLoad: load_user_set(device); break;
        case R_UserSetSave:
            if (INT(device, UserSetSelector)) copy_settings(device, device->saved, device->registers);
            break;
        case R_TimestampLatch: INT(device, TimestampLatchValue) = device_ns(device, now_ns(), 0); break;
        case R_TimestampReset: device->clock_zero_ns = now_ns(); break;
        case R_PtpDataSetLatch: INT(device, PtpOffsetFromMaster) = INT(device, FaultPtpOffsetNs); break;
        case R_DeviceReset: lose(device, RESET_MS); break;
        default: limit_region(device); return;
    }
    device->registers[place].i = 0; /* a command that is done */
}
