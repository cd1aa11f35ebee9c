/*
 * The light itself, as a photodiode on D6 (PD6) sees it: high = light, low = dark. The pin is pulled up, so a wire that
 * breaks reads as light. It is watched where the signed limits say that one is wired. For callers with interrupts off,
 * but for photodiode_rules and photodiode_lit.
 */
#ifndef PHOTODIODE_H
#define PHOTODIODE_H

#include <avr/io.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"

#define PHOTODIODE_BIT _BV(PIND6)

void photodiode_start(void);
void photodiode_rules(const struct limits *limits);

/* Whether one is wired and sees light now. */
bool photodiode_lit(void);

/* Whether a pulse is long enough that its light must be seen. */
bool photodiode_checks(uint32_t on_us);

/* The light was switched on, or off, at `tick`; whether to await the photodiode's edge. */
void photodiode_expect(bool light, uint32_t tick, bool edge);

/* Each millisecond: REASON_LIGHT_UNCOMMANDED, REASON_LIGHT_MISSING or REASON_NONE. */
enum reason photodiode_judge(uint32_t now);

/* Whether the light, which was `lit` or not up to `tick`, has not been seen for longer than it may take. */
bool photodiode_missed(bool lit, uint32_t tick);

#endif
