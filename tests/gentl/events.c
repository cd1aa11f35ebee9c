/* The event of a new buffer, and the faults that show when it is waited for. */
#include "producer.h"

GC_API GCRegisterEvent(void *source, int32_t which, void **out) {
    struct module *module = module_of(source, STREAM);
    if (!module) return failed(GC_ERR_NOT_IMPLEMENTED, "the module has no events");
    if (which != EVENT_NEW_BUFFER) return failed(GC_ERR_NOT_IMPLEMENTED, "the stream has no such event");
    struct stream *stream = &module->device->stream;
    if (stream->registered) return failed(GC_ERR_RESOURCE_IN_USE, "the event is registered");
    stream->registered = true;
    stream->killed = false;
    *out = &stream->event;
    return GC_ERR_SUCCESS;
}

GC_API GCUnregisterEvent(void *source, int32_t which) {
    struct module *module = module_of(source, STREAM);
    if (!module || which != EVENT_NEW_BUFFER) return failed(GC_ERR_INVALID_HANDLE, "no such event");
    module->device->stream.registered = false;
    return GC_ERR_SUCCESS;
}

static int32_t transient(struct device *device, int64_t number) {
    struct stream *stream = &device->stream;
    int64_t every = INT(device, FaultErrorEvery);
    if (!every || number % every) return GC_ERR_SUCCESS;
    if (stream->error_at != number) stream->errors_left = INT(device, FaultErrorTimes);
    stream->error_at = number;
    if (stream->errors_left <= 0) return GC_ERR_SUCCESS;
    stream->errors_left--;
    return (int32_t)INT(device, FaultErrorCode);
}

static void hang_once(struct device *device, int64_t number) {
    if (INT(device, FaultHangIn) != R_FaultHangIn_Fetch || number < INT(device, FaultHangAt) || device->stream.hung)
        return;
    device->stream.hung = true;
    pthread_mutex_unlock(&lock);
    sleep_ms(INT(device, FaultHangMs));
    pthread_mutex_lock(&lock);
}

/* Wait for a buffer that is filled; `lock` is held. */
static int32_t await(struct device *device, uint64_t timeout_ms, struct buffer **out) {
    struct stream *stream = &device->stream;
    int64_t limit_ms = timeout_ms > 86400000 ? 86400000 : (int64_t)timeout_ms, due_ns = now_ns() + limit_ms * 1000000;
    struct timespec due = {due_ns / SECOND, due_ns % SECOND};
    for (;;) {
        if (device->dead) return failed(GC_ERR_IO, "the device is gone");
        if (stream->killed) {
            stream->killed = false;
            return failed(GC_ERR_ABORT, "the wait was ended");
        }
        if ((*out = first(stream, OUTPUT))) return GC_ERR_SUCCESS;
        if (engine_step(device)) continue;
        if (now_ns() >= due_ns) return failed(GC_ERR_TIMEOUT, "no buffer was filled");
        pthread_cond_timedwait(&changed, &lock, &due);
    }
}

GC_API EventGetData(void *handle, void *out, size_t *size, uint64_t timeout_ms) {
    struct module *module = module_of(handle, EVENT);
    struct buffer *buffer = NULL;
    if (!module) return failed(GC_ERR_INVALID_HANDLE, "no event");
    if (out && *size < sizeof(struct new_buffer_event)) return failed(GC_ERR_BUFFER_TOO_SMALL, "the memory is too small");
    struct device *device = module->device;
    pthread_mutex_lock(&lock);
    int32_t code = await(device, timeout_ms, &buffer);
    if (!code) {
        code = transient(device, buffer->frame.number);
        if (code) failed(code, "a transient error");
    }
    if (!code) {
        hang_once(device, buffer->frame.number);
        struct new_buffer_event event = {buffer, buffer->user};
        if (buffer->place == OUTPUT) move(&device->stream, buffer, HELD);
        device->stream.fired++;
        code = give(&event, sizeof event, INFO_DATATYPE_BUFFER, NULL, out, size);
    }
    pthread_mutex_unlock(&lock);
    return code;
}

GC_API EventGetDataInfo(
    void *handle, const void *in, size_t length, int32_t what, int32_t *type, void *out, size_t *size) {
    const struct new_buffer_event *event = in;
    if (!module_of(handle, EVENT)) return failed(GC_ERR_INVALID_HANDLE, "no event");
    if (!in || length < sizeof *event) return failed(GC_ERR_INVALID_PARAMETER, "no event's data");
    switch (what) {
        case 0: return give_pointer(event->buffer, type, out, size);
        case 1: return give_pointer(event->user, type, out, size);
    }
    return failed(GC_ERR_NOT_AVAILABLE, "the event does not tell that");
}

GC_API EventGetInfo(void *handle, int32_t what, int32_t *type, void *out, size_t *size) {
    struct module *module = module_of(handle, EVENT);
    if (!module) return failed(GC_ERR_INVALID_HANDLE, "no event");
    struct stream *stream = &module->device->stream;
    switch (what) {
        case EVENT_EVENT_TYPE: return give_i32(EVENT_NEW_BUFFER, type, out, size);
        case EVENT_NUM_IN_QUEUE: return give_size((size_t)count(stream, OUTPUT), type, out, size);
        case EVENT_NUM_FIRED: return give_u64((uint64_t)stream->fired, type, out, size);
        case EVENT_SIZE_MAX: return give_size(sizeof(struct new_buffer_event), type, out, size);
        case EVENT_INFO_DATA_SIZE_MAX: return give_size(sizeof(void *), type, out, size);
    }
    return failed(GC_ERR_NOT_IMPLEMENTED, "the event does not tell that");
}

GC_API EventFlush(void *handle) {
    struct module *module = module_of(handle, EVENT);
    if (!module) return failed(GC_ERR_INVALID_HANDLE, "no event");
    pthread_mutex_lock(&lock);
    move_all(&module->device->stream, OUTPUT, IDLE);
    pthread_mutex_unlock(&lock);
    return GC_ERR_SUCCESS;
}

GC_API EventKill(void *handle) {
    struct module *module = module_of(handle, EVENT);
    if (!module) return failed(GC_ERR_INVALID_HANDLE, "no event");
    pthread_mutex_lock(&lock);
    module->device->stream.killed = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return GC_ERR_SUCCESS;
}
