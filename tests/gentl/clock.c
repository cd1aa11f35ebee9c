/* The camera's clock, and what is wrong with it. */
#include <string.h>

#include "producer.h"

int64_t tick_hz(const struct device *device) {
    if (INT(device, FaultTickHz)) return INT(device, FaultTickHz);
    return strcmp(device->type, "GEV") ? SECOND : 125000000;
}

int64_t device_ns(const struct device *device, int64_t host_ns, int64_t frame) {
    int64_t since = host_ns - device->clock_zero_ns;
    since += (int64_t)((double)(host_ns - device->stream.first_ns) * REAL(device, FaultStampDriftPpm) * 1e-6);
    since += INT(device, FaultStampStartNs);
    if (INT(device, FaultStampStepFrom) && frame >= INT(device, FaultStampStepFrom))
        since += INT(device, FaultStampStepNs);
    return since;
}

/* A counter of so many bits, of which a fault may have set the highest of 64. */
static uint64_t counter(const struct device *device, uint64_t value) {
    int64_t bits = INT(device, FaultStampBits);
    if (bits) value &= (UINT64_C(1) << bits) - 1;
    return INT(device, FaultStampBit63) ? value | UINT64_C(1) << 63 : value;
}

void stamp(const struct device *device, struct frame *frame) {
    int64_t ns = device_ns(device, frame->start_ns, frame->number), form = INT(device, FaultStamps);
    bool zero = form == R_FaultStamps_Zero;
    frame->has_ticks = form != R_FaultStamps_Missing;
    frame->has_ns = frame->has_ticks && form != R_FaultStamps_TicksOnly;
    frame->ticks = zero ? 0 : counter(device, (uint64_t)((__int128)ns * tick_hz(device) / SECOND));
    frame->stamp_ns = zero ? 0 : counter(device, (uint64_t)ns);
}
