/* When the next exposure begins: by the rate, by software, or by the pulses of a line. */
#include "producer.h"

#define FASTEST_S 0.005

static double exposure_s(const struct device *device) { return REAL(device, ExposureTime) * 1e-6; }

double period_s(const struct device *device) {
    double by_rate = INT(device, AcquisitionFrameRateEnable) ? 1 / REAL(device, AcquisitionFrameRate) : FASTEST_S;
    return by_rate > exposure_s(device) ? by_rate : exposure_s(device);
}

static int64_t pattern(const struct device *device, int64_t line, int64_t slot) {
    return device->registers[R_LinePatternBits + line].i >> slot % device->registers[R_LinePatternSlots + line].i & 1;
}

static int64_t slot_ns(const struct device *device, int64_t line) {
    return (int64_t)(device->registers[R_LinePatternSlotUs + line].f * 1000);
}

/* Level of each line, a bit each: pulses are the first half of their slot; outputs follow the exposure. */
int64_t line_levels(const struct device *device, int64_t at_ns, bool exposing) {
    int64_t levels = 0, since = at_ns - device->stream.first_ns;
    for (int64_t line = 0; line < LINE_COUNT; line++) {
        int64_t level;
        if (device->registers[R_LineMode + line].i)
            level = device->registers[R_LineSource + line].i != R_LineSource_Off && exposing;
        else
            level = device->stream.acquiring && since >= 0 && pattern(device, line, since / slot_ns(device, line))
                && since % slot_ns(device, line) < slot_ns(device, line) / 2;
        levels |= (level ^ (device->registers[R_LineInverter + line].i & 1)) << line;
    }
    return levels;
}

static bool by_line(struct device *device, int64_t line, int64_t *start_ns) {
    struct stream *stream = &device->stream;
    int64_t slots = device->registers[R_LinePatternSlots + line].i, length = slot_ns(device, line), quiet = 0;
    bool falling = INT(device, TriggerActivation) == R_TriggerActivation_FallingEdge;
    falling ^= device->registers[R_LineInverter + line].i;
    int64_t delay = (int64_t)(REAL(device, TriggerDelay) * 1000) + (falling ? length / 2 : 0);
    for (; quiet < slots; stream->slot++, quiet++) {
        if (!pattern(device, line, stream->slot)) continue;
        *start_ns = stream->first_ns + stream->slot * length + delay;
        if (*start_ns >= stream->free_ns) return true;
        stream->triggers++;
        stream->missed++;
        quiet = -1;
    }
    return false;
}

static bool on_its_own_or_triggered(struct device *device, int64_t *start_ns) {
    struct stream *stream = &device->stream;
    int64_t source = INT(device, TriggerSource);
    *start_ns = stream->next_ns;
    if (!INT(device, TriggerMode)) return true;
    if (source) return by_line(device, source - R_TriggerSource_Line0, start_ns);
    *start_ns = stream->software_ns > stream->free_ns ? stream->software_ns : stream->free_ns;
    return stream->software > 0;
}

bool next_exposure(struct device *device, int64_t *start_ns) {
    struct stream *stream = &device->stream;
    if (!on_its_own_or_triggered(device, start_ns)) return false;
    if (INT(device, FaultStallAt) != stream->made + 1) return true;
    *start_ns += INT(device, FaultStallMs) * 1000000;
    return INT(device, FaultStallMs) != 0;
}
