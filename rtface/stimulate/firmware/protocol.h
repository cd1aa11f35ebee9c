/* Made by rtface/stimulate/cheader.py; change protocol.py, never this file. */

#ifndef PROTOCOL_H
#define PROTOCOL_H

#include <stdint.h>

#define PROTOCOL 2
#define OLD_PROTOCOL 1
#define MAX_FRAME 80

#define ABSOLUTE_MIN_ON_US 20UL
#define ABSOLUTE_MAX_ON_US 60000000UL
#define ABSOLUTE_MIN_OFF_US 1000UL
#define ABSOLUTE_MAX_OFF_US 600000000UL
#define ABSOLUTE_MIN_WINDOW_MS 160UL
#define ABSOLUTE_MAX_WINDOW_MS 3600000UL
#define ABSOLUTE_WINDOW_PARTS 16UL
#define ABSOLUTE_MIN_DEADMAN_MS 20UL
#define ABSOLUTE_MAX_DEADMAN_MS 200UL
#define ABSOLUTE_MIN_LIGHT_DELAY_US 100UL
#define ABSOLUTE_MAX_LIGHT_DELAY_US 50000UL
#define ABSOLUTE_MAX_COUNTER 65535UL
#define ABSOLUTE_HAND_MS 1000UL
#define ABSOLUTE_NEW_SESSION_MS 5000UL

enum state {
    STATE_DISARMED = 0,
    STATE_ARMED = 1,
    STATE_FIRING = 2,
    STATE_GAP = 3,
    STATE_STOPPED = 4,
    STATE_FAULT = 5,
};
#define STATE_COUNT 6

enum reason {
    REASON_NONE = 0,
    REASON_COMPLETED = 1,
    REASON_CANCELLED = 2,
    REASON_DISARMED_BY_HOST = 3,
    REASON_STOPPED_BY_HOST = 4,
    REASON_STOP_PIN = 5,
    REASON_ARM_SWITCH = 6,
    REASON_SILENCE = 7,
    REASON_BAD_FRAME = 8,
    REASON_LINE_ERROR = 9,
    REASON_NEW_HELLO = 10,
    REASON_BACKSTOP = 11,
    REASON_MEMORY = 12,
    REASON_ACKNOWLEDGED = 13,
    REASON_LIGHT_UNCOMMANDED = 14,
    REASON_LIGHT_MISSING = 15,
    REASON_NO_HELLO = 16,
    REASON_STALE = 17,
    REASON_BAD_TOKEN = 18,
    REASON_WRONG_STATE = 19,
    REASON_BAD_VALUE = 20,
    REASON_TOO_LONG = 21,
    REASON_TOO_STRONG = 22,
    REASON_TOO_SOON = 23,
    REASON_WINDOW_FULL = 24,
    REASON_SESSION_PULSES = 25,
    REASON_SESSION_DOSE = 26,
    REASON_LIMITS_LOST = 27,
    REASON_STORING = 28,
    REASON_BAD_COUNTER = 29,
    REASON_FOREIGN = 30,
    REASON_NO_LIMITS = 31,
    REASON_NO_HAND = 32,
};
#define REASON_COUNT 33

enum kind {
    KIND_BOOT = 1,
    KIND_PULSE_BEGAN = 2,
    KIND_PULSE_ENDED = 3,
    KIND_TRAIN_ENDED = 4,
    KIND_STATE = 5,
    KIND_BAD_FRAME = 6,
    KIND_LIMITS_STORED = 7,
    KIND_NEW_SESSION = 8,
};
#define KIND_COUNT 9

enum limits_source {
    LIMITS_SOURCE_NONE = 0,
    LIMITS_SOURCE_EEPROM = 1,
    LIMITS_SOURCE_ONE_COPY = 2,
    LIMITS_SOURCE_LOST = 3,
};
#define LIMITS_SOURCE_COUNT 4

#define INPUT_ARM_SWITCH_ON 1
#define INPUT_STOP_OPEN 2
#define INPUT_BUTTON_HELD 4
#define INPUT_LIGHT_SEEN 8

#define MSG_HELLO 0x01
#define MSG_HEARTBEAT 0x02
#define MSG_ARM 0x03
#define MSG_DISARM 0x04
#define MSG_STOP 0x05
#define MSG_CLEAR 0x06
#define MSG_PULSE 0x07
#define MSG_CANCEL 0x08
#define MSG_GET_STATUS 0x09
#define MSG_GET_LIMITS 0x0A
#define MSG_PROPOSE_LIMITS 0x0B
#define MSG_COMMIT_LIMITS 0x0C
#define MSG_ACK 0x80
#define MSG_NAK 0x81
#define MSG_STATUS 0x82
#define MSG_WELCOME 0x83
#define MSG_LIMITS 0x84
#define MSG_EVENT 0x85

struct __attribute__((packed)) arm {
    uint32_t token;
};

struct __attribute__((packed)) clear {
    uint32_t token;
};

struct __attribute__((packed)) pulse {
    uint32_t on_us;
    uint32_t period_us;
    uint16_t count;
    uint8_t amplitude;
};

struct __attribute__((packed)) propose_limits {
    uint32_t max_on_us;
    uint32_t min_off_us;
    uint32_t window_ms;
    uint32_t window_on_us;
    uint32_t session_pulses;
    uint32_t session_dose_us;
    uint16_t deadman_ms;
    uint8_t max_amplitude;
    uint8_t amplitude_wired;
    uint32_t device_id;
    uint32_t counter;
    char signed_off_by[20];
    uint8_t photodiode_wired;
    uint16_t light_rise_us;
    uint16_t light_fall_us;
};

struct __attribute__((packed)) commit_limits {
    uint16_t crc;
    uint32_t counter;
};

struct __attribute__((packed)) ack {
    uint8_t command;
    uint8_t reason;
    uint8_t state;
    uint8_t repeated;
    uint32_t value;
    uint64_t time_us;
};

struct __attribute__((packed)) nak {
    uint8_t command;
    uint8_t reason;
    uint8_t state;
    uint8_t repeated;
    uint32_t value;
    uint64_t time_us;
};

struct __attribute__((packed)) status {
    uint8_t state;
    uint8_t reason;
    uint8_t inputs;
    uint32_t pulses;
    uint32_t dose_us;
    uint32_t window_us;
    uint16_t bad_frames;
    uint16_t unsent;
    uint64_t time_us;
};

struct __attribute__((packed)) welcome {
    uint8_t protocol;
    uint16_t firmware;
    uint32_t build;
    uint8_t reset_cause;
    uint16_t resets;
    uint8_t state;
    uint8_t inputs;
    uint8_t limits_source;
    uint32_t device_id;
    uint32_t token;
    uint64_t time_us;
};

struct __attribute__((packed)) limits {
    uint32_t max_on_us;
    uint32_t min_off_us;
    uint32_t window_ms;
    uint32_t window_on_us;
    uint32_t session_pulses;
    uint32_t session_dose_us;
    uint16_t deadman_ms;
    uint8_t max_amplitude;
    uint8_t amplitude_wired;
    uint32_t device_id;
    uint32_t counter;
    char signed_off_by[20];
    uint8_t photodiode_wired;
    uint16_t light_rise_us;
    uint16_t light_fall_us;
};

struct __attribute__((packed)) event {
    uint8_t kind;
    uint8_t reason;
    uint8_t state;
    uint32_t pulse;
    uint32_t value;
    uint64_t time_us;
};

_Static_assert(sizeof(struct arm) == 4, "layout");
_Static_assert(sizeof(struct clear) == 4, "layout");
_Static_assert(sizeof(struct pulse) == 11, "layout");
_Static_assert(sizeof(struct propose_limits) == 61, "layout");
_Static_assert(sizeof(struct commit_limits) == 6, "layout");
_Static_assert(sizeof(struct ack) == 16, "layout");
_Static_assert(sizeof(struct nak) == 16, "layout");
_Static_assert(sizeof(struct status) == 27, "layout");
_Static_assert(sizeof(struct welcome) == 29, "layout");
_Static_assert(sizeof(struct limits) == 61, "layout");
_Static_assert(sizeof(struct event) == 19, "layout");

#define DEFAULT_LIMITS { \
    .max_on_us = 20000UL, \
    .min_off_us = 10000UL, \
    .window_ms = 10000UL, \
    .window_on_us = 1000000UL, \
    .session_pulses = 1000UL, \
    .session_dose_us = 10000000UL, \
    .deadman_ms = 50UL, \
    .max_amplitude = 255UL, \
    .amplitude_wired = 0UL, \
    .device_id = 0UL, \
    .counter = 0UL, \
    .signed_off_by = "", \
    .photodiode_wired = 0UL, \
    .light_rise_us = 2000UL, \
    .light_fall_us = 2000UL \
}

#endif
