/* One frame: made, damaged if that was asked for, and put where the reader finds it; or lost. */
#include <stdlib.h>

#include "producer.h"

#define READOUT_NS INT64_C(1000000)

static size_t picture_bytes(const struct device *device, int64_t width, int64_t height) {
    return (size_t)INT(device, FaultImageOffset) + line_bytes(device, width) * (size_t)height;
}

size_t payload_bytes(const struct device *device) {
    return picture_bytes(device, INT(device, Width), INT(device, Height)) + chunk_bytes(device);
}

static bool every(int64_t n, int64_t number) { return n && number % n == 0; }

static void name(const struct device *device, struct frame *frame) {
    int64_t bits = INT(device, FaultIdBits), kind = INT(device, FaultIds);
    uint64_t id = (uint64_t)(INT(device, FaultIdFirst) + (kind == R_FaultIds_Constant ? 0 : frame->number - 1));
    uint64_t largest = (UINT64_C(1) << bits) - 1;
    if (bits && INT(device, FaultIdSkipsZero)) id = (id - 1) % largest + 1;
    else if (bits) id &= largest;
    frame->has_id = kind != R_FaultIds_Absent;
    frame->id = id;
}

static struct frame expose(struct device *device, int64_t start_ns) {
    struct stream *stream = &device->stream;
    struct frame frame = {
        .number = stream->made, .trigger = stream->triggers, .start_ns = start_ns, .width = INT(device, Width),
        .height = INT(device, Height), .left = INT(device, OffsetX), .top = INT(device, OffsetY),
        .format = INT(device, PixelFormat), .exposure_us = REAL(device, ExposureTime)};
    if (INT(device, FaultSizeFrom) && frame.number >= INT(device, FaultSizeFrom)) frame.height /= 2;
    frame.line_bytes = (int64_t)line_bytes(device, frame.width);
    frame.lines = line_levels(device, start_ns, true);
    frame.chunk_at = picture_bytes(device, frame.width, frame.height);
    frame.intended = frame.filled = frame.chunk_at + chunk_bytes(device);
    name(device, &frame);
    stamp(device, &frame);
    if (every(INT(device, FaultIncompleteEvery), frame.number) && frame.number >= INT(device, FaultIncompleteFrom)) {
        frame.filled = (size_t)((double)frame.intended * REAL(device, FaultIncompleteFill));
        frame.incomplete = INT(device, FaultIncompleteFlag);
    }
    return frame;
}

/* What time and triggers are after a frame that starts now. */
static void take_time(struct device *device, int64_t start_ns) {
    struct stream *stream = &device->stream;
    int64_t exposed_ns = start_ns + (int64_t)(REAL(device, ExposureTime) * 1000);
    stream->made++;
    stream->next_ns = start_ns + (int64_t)(period_s(device) * 1e9);
    stream->free_ns = exposed_ns + (INT(device, TriggerOverlap) ? 0 : READOUT_NS);
    if (!INT(device, TriggerMode)) return;
    stream->triggers++;
    if (INT(device, TriggerSource)) stream->slot++;
    else stream->software--;
}

static struct buffer *room(struct stream *stream) {
    struct buffer *buffer = first(stream, INPUT);
    if (!buffer && stream->registers[S_StreamBufferHandlingMode].i != S_StreamBufferHandlingMode_OldestFirst) {
        buffer = first(stream, OUTPUT);
        if (buffer) stream->registers[S_StreamLostFrameCount].i++;
    }
    return buffer;
}

static void fill(const struct device *device, struct buffer *buffer) {
    struct frame *frame = &buffer->frame;
    size_t offset = (size_t)INT(device, FaultImageOffset);
    if (buffer->size < frame->intended) return; /* told by DATA_LARGER_THAN_BUFFER */
    size_t pixels = frame->filled < frame->chunk_at ? frame->filled : frame->chunk_at;
    if (pixels > offset) draw(device, frame, buffer->memory + offset, pixels - offset);
    if (frame->filled == frame->intended) write_chunks(device, frame, buffer->memory + frame->chunk_at);
}

void make_frame(struct device *device, int64_t start_ns) {
    struct stream *stream = &device->stream;
    take_time(device, start_ns);
    if (INT(device, FaultAbortAt) == stream->made) abort();
    if (INT(device, FaultDisconnectAt) == stream->made) {
        lose(device, INT(device, FaultDisconnectMs));
        return;
    }
    if (every(INT(device, FaultDropEvery), stream->made)) return;
    struct buffer *buffer = room(stream);
    if (!buffer) {
        stream->registers[S_StreamLostFrameCount].i++;
        return;
    }
    if (stream->registers[S_StreamBufferHandlingMode].i == S_StreamBufferHandlingMode_NewestOnly)
        move_all(stream, OUTPUT, INPUT);
    buffer->frame = expose(device, start_ns);
    buffer->fresh = true;
    fill(device, buffer);
    move(stream, buffer, OUTPUT);
    stream->registers[S_StreamDeliveredFrameCount].i++;
}
