/* Pulses and trains: admitted one by one, begun here, ended in light.c. */
#ifndef PULSES_H
#define PULSES_H

#include "protocol.h"

/* Begin a train; REASON_NONE and the number of its first pulse, or why not. */
enum reason pulses_begin(const struct pulse *wanted, uint32_t *number);

/* Once for each pass of the main loop: report what happened, and begin the next pulse of a train when it is due. */
void pulses_poll(void);

void pulses_report(enum kind kind, enum reason reason, uint32_t value, uint64_t time_us);

#endif
