/* The producer's modules and what its files offer each other. Every call from outside holds `lock`. */
#ifndef PRODUCER_H
#define PRODUCER_H

#include <pthread.h>
#include <stdbool.h>

#include "gentl.h"

union value { int64_t i; double f; };

#include "registers.h"

enum { DEVICES = 5, BUFFERS = 256, LINE_COUNT = 4, MAGIC = 0x52544743 };
#define SECOND INT64_C(1000000000)

/* What a handle points to. */
enum kind { SYSTEM = 1, INTERFACE, LOCAL_DEVICE, REMOTE_DEVICE, STREAM, BUFFER, EVENT };
struct module { int32_t magic; enum kind kind; struct device *device; };

/* Where an announced buffer is. */
enum place { UNUSED = 0, IDLE, INPUT, OUTPUT, HELD };

struct frame {
    int64_t number;                 /* from 1 since the acquisition started; the picture tells it */
    int64_t trigger;                /* trigger that it answers, counted since the acquisition started */
    int64_t start_ns;               /* when its exposure began, host's clock */
    int64_t width, height, left, top, format, line_bytes;
    double exposure_us;
    int64_t lines;
    uint64_t id, ticks, stamp_ns;
    bool has_id, has_ticks, has_ns, incomplete;
    size_t filled, intended, chunk_at;
};

struct buffer {
    struct module module;
    enum place place;
    int64_t order;                  /* in which it came to its place */
    uint8_t *memory;
    size_t size;
    void *user;
    bool fresh;
    struct frame frame;
};

struct stream {
    struct module module, event;
    bool open, registered, streaming, acquiring, killed, engine_runs;
    pthread_t engine;
    union value registers[S_COUNT];
    struct buffer buffers[BUFFERS];
    int64_t orders, fired;
    /* The acquisition that runs: set back by engine_begin(). */
    int64_t made, triggers, missed, slot;
    int64_t software, software_ns;  /* software triggers that wait, and when the first was given */
    int64_t first_ns, next_ns;      /* when the acquisition started, and when it may next expose on its own */
    int64_t free_ns;                /* until when a trigger would be missed */
    int64_t error_at, errors_left;
    bool hung;
};

struct device {
    struct module local, remote;
    const char *serial, *type;
    bool open, dead;
    union value registers[R_COUNT], saved[R_COUNT];
    int64_t clock_zero_ns, latched_ns;
    struct stream stream;
};

/* Outlasts the library and is seen by other processes where RTFACE_TEST_GENTL_STATE names a file. */
struct shared { int64_t gone_until_ns[DEVICES]; int32_t owner[DEVICES]; };

extern pthread_mutex_t lock;
extern pthread_cond_t changed;
extern struct device devices[DEVICES];
extern struct shared *shared;

#define INT(device, name) ((device)->registers[R_##name].i)
#define REAL(device, name) ((device)->registers[R_##name].f)

/* answers.c */
int32_t failed(int32_t code, const char *why);
int32_t give(const void *data, size_t length, int32_t datatype, int32_t *type, void *out, size_t *size);
int32_t give_text(const char *text, int32_t *type, void *out, size_t *size);
int32_t give_u64(uint64_t value, int32_t *type, void *out, size_t *size);
int32_t give_u32(uint32_t value, int32_t *type, void *out, size_t *size);
int32_t give_i32(int32_t value, int32_t *type, void *out, size_t *size);
int32_t give_size(size_t value, int32_t *type, void *out, size_t *size);
int32_t give_bool(bool value, int32_t *type, void *out, size_t *size);
int32_t give_pointer(void *value, int32_t *type, void *out, size_t *size);
int64_t now_ns(void);
void sleep_ms(int64_t ms);

/* library.c */
struct module *module_of(void *handle, enum kind kind);

/* device.c */
void power_up(struct device *device, int number);
bool present(const struct device *device);
void lose(struct device *device, int64_t for_ms);
void shut(struct device *device);

/* features.c: what writing and reading registers does, beyond keeping a number */
void before_reading(struct device *device);
void after_writing(struct device *device, int place);

/* clock.c */
int64_t device_ns(const struct device *device, int64_t host_ns, int64_t frame);
void stamp(const struct device *device, struct frame *frame);
int64_t tick_hz(const struct device *device);

/* picture.c */
int bits_per_pixel(int64_t format);
size_t line_bytes(const struct device *device, int64_t width);
void draw(const struct device *device, const struct frame *frame, uint8_t *out, size_t room);

/* chunks.c */
size_t chunk_bytes(const struct device *device);
void write_chunks(const struct device *device, const struct frame *frame, uint8_t *out);
size_t chunk_places(const struct device *device, const struct frame *frame, struct chunk_place *out);

/* exposure.c: when the next frame begins */
double period_s(const struct device *device);
bool next_exposure(struct device *device, int64_t *start_ns);
int64_t line_levels(const struct device *device, int64_t at_ns, bool exposing);

/* frames.c */
size_t payload_bytes(const struct device *device);
void make_frame(struct device *device, int64_t start_ns);

/* engine.c */
void acquisition_start(struct device *device);
void acquisition_stop(struct device *device);
void engine_start(struct device *device);
void engine_stop(struct device *device);
bool engine_step(struct device *device);

/* stream.c */
struct buffer *first(struct stream *stream, enum place place);
void move(struct stream *stream, struct buffer *buffer, enum place to);
void move_all(struct stream *stream, enum place from, enum place to);
int64_t count(const struct stream *stream, enum place place);

#endif
