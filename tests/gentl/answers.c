/* Answers in the form that GenTL's info functions give them, the last error, and the clock. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "producer.h"

static __thread int32_t last_code;
static __thread char last_text[256];

int32_t failed(int32_t code, const char *why) {
    last_code = code;
    snprintf(last_text, sizeof last_text, "%s", why);
    return code;
}

GC_API GCGetLastError(int32_t *code, char *text, size_t *size) {
    *code = last_code;
    return give_text(last_text, NULL, text, size);
}

int32_t give(const void *data, size_t length, int32_t datatype, int32_t *type, void *out, size_t *size) {
    if (type) *type = datatype;
    if (!size) return failed(GC_ERR_INVALID_PARAMETER, "no size was given");
    if (out && *size < length) return failed(GC_ERR_BUFFER_TOO_SMALL, "the memory is too small");
    if (out) memcpy(out, data, length);
    *size = length;
    return GC_ERR_SUCCESS;
}

int32_t give_text(const char *text, int32_t *type, void *out, size_t *size) {
    return give(text, strlen(text) + 1, INFO_DATATYPE_STRING, type, out, size);
}

int32_t give_u64(uint64_t value, int32_t *type, void *out, size_t *size) {
    return give(&value, sizeof value, INFO_DATATYPE_UINT64, type, out, size);
}

int32_t give_u32(uint32_t value, int32_t *type, void *out, size_t *size) {
    return give(&value, sizeof value, INFO_DATATYPE_UINT32, type, out, size);
}

int32_t give_i32(int32_t value, int32_t *type, void *out, size_t *size) {
    return give(&value, sizeof value, INFO_DATATYPE_INT32, type, out, size);
}

int32_t give_size(size_t value, int32_t *type, void *out, size_t *size) {
    return give(&value, sizeof value, INFO_DATATYPE_SIZET, type, out, size);
}

int32_t give_bool(bool value, int32_t *type, void *out, size_t *size) {
    uint8_t byte = value;
    return give(&byte, 1, INFO_DATATYPE_BOOL8, type, out, size);
}

int32_t give_pointer(void *value, int32_t *type, void *out, size_t *size) {
    return give(&value, sizeof value, INFO_DATATYPE_PTR, type, out, size);
}

int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

void sleep_ms(int64_t ms) {
    struct timespec wait = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&wait, &wait)) {}
}
