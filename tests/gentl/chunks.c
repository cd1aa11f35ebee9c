/* Chunk data behind the picture: 8 bytes each, with the trailers that GigE Vision and USB3 Vision read it by. */
#include <string.h>

#include "producer.h"

enum { TRAILER = 8, DATA = 8, IMAGE_ID = 1, FIRST_ID = 0x1001 };

static bool enabled(const struct device *device, int chunk) {
    return INT(device, ChunkModeActive) && device->registers[R_ChunkEnable + chunk].i;
}

size_t chunk_bytes(const struct device *device) {
    if (!INT(device, ChunkModeActive)) return 0;
    size_t bytes = TRAILER;
    for (int chunk = 0; chunk < CHUNKS; chunk++) bytes += enabled(device, chunk) ? DATA + TRAILER : 0;
    return bytes;
}

static uint8_t *trailer(const struct device *device, uint8_t *out, uint32_t id, uint32_t length) {
    uint32_t words[2] = {id, length};
    if (!strcmp(device->type, "GEV"))
        for (int i = 0; i < 2; i++) words[i] = __builtin_bswap32(words[i]);
    memcpy(out, words, TRAILER);
    return out + TRAILER;
}

void write_chunks(const struct device *device, const struct frame *frame, uint8_t *out) {
    const union value values[CHUNKS] = {
        {.i = frame->number}, {.i = (int64_t)frame->stamp_ns}, {.f = frame->exposure_us},
        {.i = frame->trigger}, {.i = frame->lines}};
    if (!INT(device, ChunkModeActive)) return;
    out = trailer(device, out, IMAGE_ID, (uint32_t)frame->chunk_at);
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        if (!enabled(device, chunk)) continue;
        memcpy(out, &values[chunk], DATA);
        out = trailer(device, out + DATA, (uint32_t)(FIRST_ID + chunk), DATA);
    }
}

size_t chunk_places(const struct device *device, const struct frame *frame, struct chunk_place *out) {
    size_t number = 0, at = frame->chunk_at + TRAILER;
    if (!INT(device, ChunkModeActive) || frame->filled < frame->intended) return 0;
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        if (!enabled(device, chunk)) continue;
        if (out) out[number] = (struct chunk_place){(uint64_t)(FIRST_ID + chunk), (ptrdiff_t)at, DATA};
        at += DATA + TRAILER;
        number++;
    }
    return number;
}
