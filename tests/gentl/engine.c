/* What makes frames while they flow: a thread in their time, or each as soon as it is asked for. */
#include "producer.h"

void acquisition_start(struct device *device) {
    struct stream *stream = &device->stream;
    if (REAL(device, FaultRateOnceStreaming) > 0)
        REAL(device, AcquisitionFrameRate) = REAL(device, FaultRateOnceStreaming);
    if (REAL(device, FaultExposureOnceStreaming) > 0)
        REAL(device, ExposureTime) = REAL(device, FaultExposureOnceStreaming);
    stream->made = stream->triggers = stream->missed = stream->slot = stream->software = 0;
    stream->first_ns = stream->next_ns = now_ns();
    stream->free_ns = stream->error_at = stream->errors_left = 0;
    stream->hung = false;
    stream->acquiring = true;
}

void acquisition_stop(struct device *device) { device->stream.acquiring = false; }

static bool flows(const struct device *device) {
    return device->stream.streaming && device->stream.acquiring && !device->dead;
}

static int64_t delivered_ns(const struct device *device, int64_t start_ns) {
    return start_ns + (int64_t)(REAL(device, ExposureTime) * 1000);
}

static void wait_until(int64_t due_ns) {
    struct timespec due = {due_ns / SECOND, due_ns % SECOND};
    pthread_cond_timedwait(&changed, &lock, &due);
}

static void *run(void *argument) {
    struct device *device = argument;
    int64_t start_ns;
    pthread_mutex_lock(&lock);
    while (device->stream.streaming && !device->dead) {
        if (!flows(device) || INT(device, FramePacing) || !next_exposure(device, &start_ns)) {
            pthread_cond_wait(&changed, &lock);
        } else if (now_ns() < delivered_ns(device, start_ns)) {
            wait_until(delivered_ns(device, start_ns));
        } else {
            make_frame(device, start_ns);
            pthread_cond_broadcast(&changed);
        }
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

void engine_start(struct device *device) {
    device->stream.streaming = true;
    device->stream.engine_runs = !pthread_create(&device->stream.engine, NULL, run, device);
}

void engine_stop(struct device *device) {
    struct stream *stream = &device->stream;
    pthread_mutex_lock(&lock);
    stream->streaming = stream->acquiring = false;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    if (stream->engine_runs) pthread_join(stream->engine, NULL);
    stream->engine_runs = false;
}

bool engine_step(struct device *device) {
    int64_t start_ns;
    if (!INT(device, FramePacing) || !flows(device) || !next_exposure(device, &start_ns)) return false;
    make_frame(device, start_ns);
    return true;
}
