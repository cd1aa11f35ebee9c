/* Devices: which there are, who holds one, and losing one. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WITH_DESCRIPTIONS
#include "producer.h"

static const char *const SERIALS[DEVICES] = {"gige-0", "usb3-1", "custom-2", "busy-3", "hangs-4"};
static const char *const TYPES[DEVICES] = {"GEV", "U3V", "Custom", "GEV", "GEV"};
enum { HELD_ELSEWHERE = 3, HANGS = 4 };

static int number_of(const struct device *device) { return (int)(device - devices); }

void power_up(struct device *device, int number) {
    memset(device, 0, sizeof *device);
    device->local = (struct module){MAGIC, LOCAL_DEVICE, device};
    device->remote = (struct module){MAGIC, REMOTE_DEVICE, device};
    device->stream.module = (struct module){MAGIC, STREAM, device};
    device->stream.event = (struct module){MAGIC, EVENT, device};
    device->serial = SERIALS[number];
    device->type = TYPES[number];
    memcpy(device->registers, R_DEFAULTS, sizeof device->registers);
    INT(device, IsGigE) = !strcmp(device->type, "GEV");
    memcpy(device->saved, device->registers, sizeof device->saved);
    memcpy(device->stream.registers, S_DEFAULTS, sizeof device->stream.registers);
    device->clock_zero_ns = now_ns() - 1000 * SECOND;
}

bool present(const struct device *device) { return shared->gone_until_ns[number_of(device)] <= now_ns(); }

void lose(struct device *device, int64_t for_ms) {
    device->dead = true;
    shared->gone_until_ns[number_of(device)] = for_ms < 0 ? INT64_MAX : now_ns() + for_ms * 1000000;
}

/* Whether a process that lives holds the device. */
static bool held(const struct device *device) {
    int32_t owner = shared->owner[number_of(device)];
    return number_of(device) == HELD_ELSEWHERE || (owner && (owner == getpid() || !kill(owner, 0) || errno == EPERM));
}

void shut(struct device *device) {
    if (!device->open) return;
    engine_stop(device);
    device->stream.open = device->stream.registered = false;
    memset(device->stream.buffers, 0, sizeof device->stream.buffers);
    INT(device, TLParamsLocked) = 0;
    device->open = device->dead = false;
    shared->owner[number_of(device)] = 0;
}

static struct device *found(const char *id) {
    for (int number = 0; id && number < DEVICES; number++)
        if (!strcmp(devices[number].serial, id)) return &devices[number];
    return NULL;
}

GC_API IFOpenDevice(void *handle, const char *id, int32_t flags, void **out) {
    if (!module_of(handle, INTERFACE)) return failed(GC_ERR_INVALID_HANDLE, "no interface");
    struct device *device = found(id);
    if (!device) return failed(GC_ERR_INVALID_ID, "no such device");
    if (number_of(device) == HANGS) {
        const char *ms = getenv("RTFACE_TEST_GENTL_HANG_MS");
        sleep_ms(ms ? atoll(ms) : 3600000);
    }
    if (!present(device)) return failed(GC_ERR_IO, "the device does not answer");
    if (flags == DEVICE_ACCESS_NONE || flags == DEVICE_ACCESS_READONLY)
        return failed(GC_ERR_NOT_IMPLEMENTED, "a device is opened for control or exclusively");
    if (held(device)) return failed(GC_ERR_ACCESS_DENIED, "another program controls the device");
    device->open = true;
    device->dead = false;
    INT(device, TLParamsLocked) = 0;
    shared->owner[number_of(device)] = getpid();
    *out = &device->local;
    return GC_ERR_SUCCESS;
}

GC_API DevClose(void *handle) {
    struct module *module = module_of(handle, LOCAL_DEVICE);
    if (!module) return failed(GC_ERR_INVALID_HANDLE, "no device");
    shut(module->device);
    return GC_ERR_SUCCESS;
}

static int32_t device_info(const struct device *device, int32_t what, int32_t *type, void *out, size_t *size) {
    char name[64];
    switch (what) {
        case DEVICE_INFO_ID:
        case DEVICE_INFO_SERIAL_NUMBER: return give_text(device->serial, type, out, size);
        case DEVICE_INFO_VENDOR: return give_text("rtface", type, out, size);
        case DEVICE_INFO_MODEL: return give_text("Simulated", type, out, size);
        case DEVICE_INFO_TLTYPE: return give_text(device->type, type, out, size);
        case DEVICE_INFO_DISPLAYNAME:
            snprintf(name, sizeof name, "rtface Simulated (%s)", device->serial);
            return give_text(name, type, out, size);
        case DEVICE_INFO_ACCESS_STATUS:
            if (device->open) return give_i32(DEVICE_ACCESS_STATUS_OPEN_READWRITE, type, out, size);
            return give_i32(held(device) ? DEVICE_ACCESS_STATUS_BUSY : DEVICE_ACCESS_STATUS_READWRITE, type, out, size);
        case DEVICE_INFO_USER_DEFINED_NAME: return give_text("", type, out, size);
        case DEVICE_INFO_VERSION: return give_text("1.0", type, out, size);
        case DEVICE_INFO_TIMESTAMP_FREQUENCY: return give_u64((uint64_t)tick_hz(device), type, out, size);
    }
    return failed(GC_ERR_NOT_IMPLEMENTED, "the device does not tell that");
}

GC_API IFGetDeviceInfo(void *handle, const char *id, int32_t what, int32_t *type, void *out, size_t *size) {
    if (!module_of(handle, INTERFACE)) return failed(GC_ERR_INVALID_HANDLE, "no interface");
    struct device *device = found(id);
    return device ? device_info(device, what, type, out, size) : failed(GC_ERR_INVALID_ID, "no such device");
}

GC_API DevGetInfo(void *handle, int32_t what, int32_t *type, void *out, size_t *size) {
    struct module *module = module_of(handle, LOCAL_DEVICE);
    return module ? device_info(module->device, what, type, out, size) : failed(GC_ERR_INVALID_HANDLE, "no device");
}

GC_API DevGetPort(void *handle, void **port) {
    struct module *module = module_of(handle, LOCAL_DEVICE);
    if (!module) return failed(GC_ERR_INVALID_HANDLE, "no device");
    *port = &module->device->remote;
    return GC_ERR_SUCCESS;
}

GC_API DevGetNumDataStreams(void *handle, uint32_t *number) {
    if (!module_of(handle, LOCAL_DEVICE)) return failed(GC_ERR_INVALID_HANDLE, "no device");
    *number = 1;
    return GC_ERR_SUCCESS;
}

GC_API DevGetDataStreamID(void *handle, uint32_t index, char *id, size_t *size) {
    if (!module_of(handle, LOCAL_DEVICE)) return failed(GC_ERR_INVALID_HANDLE, "no device");
    return index ? failed(GC_ERR_INVALID_INDEX, "there is one stream") : give_text("stream", NULL, id, size);
}

GC_API DevOpenDataStream(void *handle, const char *id, void **out) {
    struct module *module = module_of(handle, LOCAL_DEVICE);
    if (!module) return failed(GC_ERR_INVALID_HANDLE, "no device");
    if (!id || strcmp(id, "stream")) return failed(GC_ERR_INVALID_ID, "there is one stream");
    if (module->device->stream.open) return failed(GC_ERR_RESOURCE_IN_USE, "the stream is open");
    module->device->stream.open = true;
    *out = &module->device->stream.module;
    return GC_ERR_SUCCESS;
}
