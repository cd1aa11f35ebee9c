/* The limits: two copies in EEPROM, each with its CRC; changed in two steps and by a hand at the device. */
#ifndef LIMITS_H
#define LIMITS_H

#include <stdbool.h>

#include "protocol.h"

/* In force. With LIMITS_SOURCE_NONE and LIMITS_SOURCE_LOST nobody has signed them, and nothing can be armed. */
extern struct limits limits;

/*
 * Read them anew: the newest valid copy, and none that is older than the journal knows of. A copy that differs from it is
 * repaired in the background. LIMITS_SOURCE_NONE: none was ever signed. LIMITS_SOURCE_LOST: some were, and are gone.
 */
enum limits_source limits_load(void);
enum limits_source limits_where(void);

/* First step; REASON_NONE and the CRC to commit with, or why not. */
enum reason limits_propose(const struct limits *wanted, uint16_t *crc);

/* Second step, with the hand at the device: begin to write. A wrong one ends the proposal, as a new host does. */
enum reason limits_commit(const struct commit_limits *wanted, bool hand);
bool limits_proposed(void);
void limits_forget_proposal(void);

/* Write a byte if the EEPROM is ready; true once, when a change is in both copies. */
bool limits_store(void);

/* Whether a change is being written; a repair is none. */
bool limits_storing(void);

#endif
