/*
 * What the session has had: from power-on to power-off. The record lies in memory that no reset clears, so neither
 * arming nor opening the port (which resets an Uno) nor the watchdog begins a new session.
 */
#ifndef SESSION_H
#define SESSION_H

#include <stdbool.h>

#include "protocol.h"

struct session {
    uint32_t magic;
    uint32_t pulses;
    uint32_t dose_us;
    uint32_t window_us; /* light within the window, the pulse under way included */
    uint16_t resets;
    uint8_t latched_state; /* STOPPED and FAULT outlive a reset */
    uint16_t crc;
};

/* As it stands; written only here. */
extern struct session session;

/* Take up the session that a reset interrupted, or begin one. */
void session_start(bool powered_on);

/* Once for each pass of the main loop. */
void session_poll(void);

/* The window has changed: what was had counts as had just now. */
void session_new_window(void);

/* Why a pulse may not begin now, or REASON_NONE. */
enum reason session_refusal(uint32_t on_us, uint8_t amplitude);

/* A pulse is charged in full before it begins, and corrected to what it was when it has ended. */
void session_charge(uint32_t on_us, uint8_t amplitude);
void session_settle(uint32_t on_us, uint32_t off_tick);

void session_latch(enum state state);

#endif
