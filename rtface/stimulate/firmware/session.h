/*
 * What the session has had. The record lies in memory that no reset clears, so neither arming nor opening the port
 * (which resets an Uno) nor the watchdog begins a new session; where that memory is lost, the journal says the most that
 * it can have been. A new one begins with power that the chip itself has seen come, or by a hand at the device.
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

/* Begin a session, or take up the one that a reset interrupted; false if memory of it was lost. */
bool session_start(bool powered_on);

/* Write how far it may come until the next record; waits until it is written. */
void session_enter_in_journal(void);

/* By a hand at the device. The window's light stays what it was. */
void session_begin_anew(void);

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
