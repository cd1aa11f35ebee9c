/* The limits: two copies in EEPROM, each with its CRC; changed in two steps. */
#ifndef LIMITS_H
#define LIMITS_H

#include <stdbool.h>

#include "protocol.h"

/* In force. With neither copy valid these are the defaults. */
extern struct limits limits;

/*
 * Read them anew. LIMITS_SOURCE_LOST: something was stored and neither copy of it can be read; since it may have been
 * stricter than the defaults, arming is refused.
 */
enum limits_source limits_load(void);
enum limits_source limits_where(void);

/* First step; REASON_NONE and the CRC to commit with, or why not. */
enum reason limits_propose(const struct limits *wanted, uint16_t *crc);

/* Second step: begin to write. A wrong one ends the proposal, as a new host does. */
enum reason limits_commit(const struct commit_limits *wanted);
void limits_forget_proposal(void);

/* Write a byte if the EEPROM is ready; true once, when both copies are written. */
bool limits_store(void);
bool limits_storing(void);

#endif
