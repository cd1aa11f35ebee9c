/* The data stream: buffers, the queues that they stand in, and starting and stopping. */
#include <string.h>

#include "producer.h"

enum { LEAST_BUFFERS = 2 };

struct buffer *first(struct stream *stream, enum place place) {
    struct buffer *found = NULL;
    for (int i = 0; i < BUFFERS; i++) {
        struct buffer *buffer = &stream->buffers[i];
        if (buffer->place == place && (!found || buffer->order < found->order)) found = buffer;
    }
    return found;
}

void move(struct stream *stream, struct buffer *buffer, enum place to) {
    buffer->place = to;
    buffer->order = ++stream->orders;
}

void move_all(struct stream *stream, enum place from, enum place to) {
    struct buffer *buffer;
    while ((buffer = first(stream, from))) move(stream, buffer, to);
}

int64_t count(const struct stream *stream, enum place place) {
    int64_t number = 0;
    for (int i = 0; i < BUFFERS; i++) number += stream->buffers[i].place == place;
    return number;
}

static struct stream *stream_of(void *handle) {
    struct module *module = module_of(handle, STREAM);
    return module && module->device->stream.open ? &module->device->stream : NULL;
}

static struct buffer *buffer_of(struct stream *stream, void *handle) {
    struct module *module = module_of(handle, BUFFER);
    return stream && module && module->device == stream->module.device ? (struct buffer *)module : NULL;
}

GC_API DSAnnounceBuffer(void *handle, void *memory, size_t size, void *user, void **out) {
    struct stream *stream = stream_of(handle);
    if (!stream) return failed(GC_ERR_INVALID_HANDLE, "no stream");
    struct buffer *buffer = first(stream, UNUSED);
    if (!buffer) return failed(GC_ERR_RESOURCE_IN_USE, "no more buffers");
    *buffer = (struct buffer){
        .module = {MAGIC, BUFFER, stream->module.device}, .memory = memory, .size = size, .user = user};
    move(stream, buffer, IDLE);
    *out = buffer;
    return GC_ERR_SUCCESS;
}

GC_API DSRevokeBuffer(void *handle, void *which, void **memory, void **user) {
    struct stream *stream = stream_of(handle);
    struct buffer *buffer = buffer_of(stream, which);
    if (!buffer) return failed(GC_ERR_INVALID_HANDLE, "no buffer of this stream");
    if (buffer->place == INPUT || buffer->place == OUTPUT) return failed(GC_ERR_BUSY, "the buffer is queued");
    if (memory) *memory = buffer->memory;
    if (user) *user = buffer->user;
    memset(buffer, 0, sizeof *buffer);
    return GC_ERR_SUCCESS;
}

GC_API DSQueueBuffer(void *handle, void *which) {
    struct stream *stream = stream_of(handle);
    struct buffer *buffer = buffer_of(stream, which);
    if (!buffer) return failed(GC_ERR_INVALID_HANDLE, "no buffer of this stream");
    pthread_mutex_lock(&lock);
    bool free = buffer->place == IDLE || buffer->place == HELD;
    if (free) move(stream, buffer, INPUT);
    pthread_mutex_unlock(&lock);
    return free ? GC_ERR_SUCCESS : failed(GC_ERR_RESOURCE_IN_USE, "the buffer is queued");
}

GC_API DSFlushQueue(void *handle, int32_t operation) {
    struct stream *stream = stream_of(handle);
    if (!stream) return failed(GC_ERR_INVALID_HANDLE, "no stream");
    pthread_mutex_lock(&lock);
    switch (operation) {
        case ACQ_QUEUE_INPUT_TO_OUTPUT: move_all(stream, INPUT, OUTPUT); break;
        case ACQ_QUEUE_OUTPUT_DISCARD: move_all(stream, OUTPUT, IDLE); break;
        case ACQ_QUEUE_ALL_DISCARD:
            move_all(stream, INPUT, IDLE);
            move_all(stream, OUTPUT, IDLE);
            break;
        case ACQ_QUEUE_ALL_TO_INPUT: move_all(stream, OUTPUT, INPUT); /* fall through */
        case ACQ_QUEUE_UNQUEUED_TO_INPUT:
            move_all(stream, IDLE, INPUT);
            move_all(stream, HELD, INPUT);
    }
    pthread_mutex_unlock(&lock);
    return GC_ERR_SUCCESS;
}

static void hang_if(struct device *device, int64_t in) {
    if (INT(device, FaultHangIn) == in) sleep_ms(INT(device, FaultHangMs));
}

GC_API DSStartAcquisition(void *handle, int32_t flags, uint64_t number) {
    (void)flags, (void)number;
    struct stream *stream = stream_of(handle);
    if (!stream) return failed(GC_ERR_INVALID_HANDLE, "no stream");
    struct device *device = stream->module.device;
    hang_if(device, R_FaultHangIn_Start);
    if (device->dead) return failed(GC_ERR_IO, "the device is gone");
    if (stream->streaming) return failed(GC_ERR_RESOURCE_IN_USE, "the stream is running");
    engine_start(device);
    return GC_ERR_SUCCESS;
}

GC_API DSStopAcquisition(void *handle, int32_t flags) {
    (void)flags;
    struct stream *stream = stream_of(handle);
    if (!stream) return failed(GC_ERR_INVALID_HANDLE, "no stream");
    hang_if(stream->module.device, R_FaultHangIn_Stop);
    engine_stop(stream->module.device);
    return GC_ERR_SUCCESS;
}

GC_API DSClose(void *handle) {
    struct stream *stream = stream_of(handle);
    if (!stream) return failed(GC_ERR_INVALID_HANDLE, "no stream");
    engine_stop(stream->module.device);
    memset(stream->buffers, 0, sizeof stream->buffers);
    stream->open = stream->registered = false;
    return GC_ERR_SUCCESS;
}

GC_API DSGetInfo(void *handle, int32_t what, int32_t *type, void *out, size_t *size) {
    struct stream *stream = stream_of(handle);
    if (!stream) return failed(GC_ERR_INVALID_HANDLE, "no stream");
    struct device *device = stream->module.device;
    switch (what) {
        case STREAM_INFO_ID: return give_text("stream", type, out, size);
        case STREAM_INFO_NUM_DELIVERED:
        case STREAM_INFO_NUM_STARTED:
            return give_u64((uint64_t)stream->registers[S_StreamDeliveredFrameCount].i, type, out, size);
        case STREAM_INFO_NUM_UNDERRUN:
            return give_u64((uint64_t)stream->registers[S_StreamLostFrameCount].i, type, out, size);
        case STREAM_INFO_NUM_ANNOUNCED:
            return give_size(BUFFERS - (size_t)count(stream, UNUSED), type, out, size);
        case STREAM_INFO_NUM_QUEUED: return give_size((size_t)count(stream, INPUT), type, out, size);
        case STREAM_INFO_NUM_AWAIT_DELIVERY: return give_size((size_t)count(stream, OUTPUT), type, out, size);
        case STREAM_INFO_PAYLOAD_SIZE: return give_size(payload_bytes(device), type, out, size);
        case STREAM_INFO_IS_GRABBING: return give_bool(stream->streaming, type, out, size);
        case STREAM_INFO_DEFINES_PAYLOADSIZE: return give_bool(false, type, out, size);
        case STREAM_INFO_TLTYPE: return give_text(device->type, type, out, size);
        case STREAM_INFO_NUM_CHUNKS_MAX: return give_size(CHUNKS, type, out, size);
        case STREAM_INFO_BUF_ANNOUNCE_MIN: return give_size(LEAST_BUFFERS, type, out, size);
        case STREAM_INFO_BUF_ALIGNMENT: return give_size(1, type, out, size);
    }
    return failed(GC_ERR_NOT_IMPLEMENTED, "the stream does not tell that");
}

static int32_t unless(bool has, uint64_t value, int32_t *type, void *out, size_t *size) {
    return has ? give_u64(value, type, out, size) : failed(GC_ERR_NOT_AVAILABLE, "the device does not give it");
}

GC_API DSGetBufferInfo(void *handle, void *which, int32_t what, int32_t *type, void *out, size_t *size) {
    struct stream *stream = stream_of(handle);
    struct buffer *buffer = buffer_of(stream, which);
    if (!buffer) return failed(GC_ERR_INVALID_HANDLE, "no buffer of this stream");
    const struct device *device = stream->module.device;
    const struct frame *frame = &buffer->frame;
    switch (what) {
        case BUFFER_INFO_BASE: return give_pointer(buffer->memory, type, out, size);
        case BUFFER_INFO_SIZE: return give_size(buffer->size, type, out, size);
        case BUFFER_INFO_USER_PTR: return give_pointer(buffer->user, type, out, size);
        case BUFFER_INFO_TIMESTAMP: return unless(frame->has_ticks, frame->ticks, type, out, size);
        case BUFFER_INFO_TIMESTAMP_NS: return unless(frame->has_ns, frame->stamp_ns, type, out, size);
        case BUFFER_INFO_NEW_DATA: return give_bool(buffer->fresh, type, out, size);
        case BUFFER_INFO_IS_QUEUED: return give_bool(buffer->place == INPUT || buffer->place == OUTPUT, type, out, size);
        case BUFFER_INFO_IS_ACQUIRING: return give_bool(false, type, out, size);
        case BUFFER_INFO_IS_INCOMPLETE: return give_bool(frame->incomplete, type, out, size);
        case BUFFER_INFO_TLTYPE: return give_text(device->type, type, out, size);
        case BUFFER_INFO_SIZE_FILLED: return give_size(frame->filled, type, out, size);
        case BUFFER_INFO_DATA_SIZE: return give_size(frame->intended, type, out, size);
        case BUFFER_INFO_WIDTH: return give_size((size_t)frame->width, type, out, size);
        case BUFFER_INFO_HEIGHT: return give_size((size_t)frame->height, type, out, size);
        case BUFFER_INFO_XOFFSET: return give_size((size_t)frame->left, type, out, size);
        case BUFFER_INFO_YOFFSET: return give_size((size_t)frame->top, type, out, size);
        case BUFFER_INFO_XPADDING: return give_size((size_t)INT(device, FaultPaddingX), type, out, size);
        case BUFFER_INFO_YPADDING: return give_size(0, type, out, size);
        case BUFFER_INFO_FRAMEID: return unless(frame->has_id, frame->id, type, out, size);
        case BUFFER_INFO_IMAGEPRESENT: return give_bool(true, type, out, size);
        case BUFFER_INFO_IMAGEOFFSET: return give_size((size_t)INT(device, FaultImageOffset), type, out, size);
        case BUFFER_INFO_PAYLOADTYPE: return give_size(PAYLOAD_TYPE_IMAGE, type, out, size);
        case BUFFER_INFO_PIXELFORMAT: return give_u64((uint64_t)frame->format, type, out, size);
        case BUFFER_INFO_PIXELFORMAT_NAMESPACE: return give_u64(PIXELFORMAT_NAMESPACE_PFNC_32BIT, type, out, size);
        case BUFFER_INFO_DELIVERED_IMAGEHEIGHT: return give_size((size_t)frame->height, type, out, size);
        case BUFFER_INFO_DELIVERED_CHUNKPAYLOADSIZE: return give_size(frame->filled, type, out, size);
        case BUFFER_INFO_PIXEL_ENDIANNESS: return give_i32(PIXELENDIANNESS_LITTLE, type, out, size);
        case BUFFER_INFO_DATA_LARGER_THAN_BUFFER: return give_bool(frame->intended > buffer->size, type, out, size);
        case BUFFER_INFO_CONTAINS_CHUNKDATA: return give_bool(chunk_places(device, frame, NULL), type, out, size);
    }
    return failed(GC_ERR_NOT_AVAILABLE, "the buffer does not tell that");
}

GC_API DSGetBufferChunkData(void *handle, void *which, struct chunk_place *out, size_t *number) {
    struct stream *stream = stream_of(handle);
    struct buffer *buffer = buffer_of(stream, which);
    if (!buffer) return failed(GC_ERR_INVALID_HANDLE, "no buffer of this stream");
    size_t has = chunk_places(stream->module.device, &buffer->frame, NULL);
    if (out && *number < has) return failed(GC_ERR_BUFFER_TOO_SMALL, "the memory is too small");
    *number = chunk_places(stream->module.device, &buffer->frame, out);
    return GC_ERR_SUCCESS;
}

GC_API DSGetBufferID(void *handle, uint32_t index, void **out) {
    struct stream *stream = stream_of(handle);
    if (!stream) return failed(GC_ERR_INVALID_HANDLE, "no stream");
    if (index >= BUFFERS || stream->buffers[index].place == UNUSED)
        return failed(GC_ERR_INVALID_INDEX, "there are not so many buffers");
    *out = &stream->buffers[index];
    return GC_ERR_SUCCESS;
}
