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
    uint16_t crc;
};

/* As it stands; written only here. */
extern struct session session;

/* Take up the session that a reset interrupted, or begin one; false if there was none to take up. */
bool session_start(bool powered_on);

/* Once for each pass of the main loop. */
void session_poll(void);

/* The limits have changed: what was had counts as had just now. */
void session_new_limits(void);

/* Why a pulse may not begin at `tick`, which is now or soon; or REASON_NONE. */
enum reason session_refusal(uint32_t on_us, uint8_t amplitude, uint32_t tick);

/*
 * A pulse is charged in full before it begins. When it has ended this is corrected to what it was; one that never
 * began is given back.
 */
void session_charge(uint32_t on_us, uint8_t amplitude);
void session_settle(uint32_t on_us, uint32_t off_tick);
void session_give_back(void);

#endif
