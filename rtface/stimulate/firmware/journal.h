/*
 * The journal: a ring of records in EEPROM. The newest whole one says how far the session may have come, how new the
 * limits are, and which number the next conversation's nonce is made of. Written ahead: nothing is lit beyond a record.
 *
 * 31 slots of 16 cells; a cell bears 100,000 writes, so the ring bears 3,100,000 records. A reset writes one, a session that is
 * used up at most 32 more: 94,000 such sessions. A cell that does not hold what was written is passed over.
 */
#ifndef JOURNAL_H
#define JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

enum journal_state {
    JOURNAL_BLANK,   /* never written */
    JOURNAL_KNOWN,   /* the newest record is certain */
    JOURNAL_TORN,    /* there is a record, and beside it one that cannot be read and may be newer */
    JOURNAL_DAMAGED, /* written once, and nothing of it can be read */
};

void journal_load(void);
enum journal_state journal_state(void);

/* The first record after a reset; waits until it is written. */
void journal_begin(uint32_t pulses, uint32_t dose_us);

/* Begin to write a record that allows so much, unless one is being written. */
void journal_write(uint32_t pulses, uint32_t dose_us);
bool journal_busy(void);

/* Once for each pass of the main loop: at most one cell. */
void journal_poll(void);

/* What the newest whole record allows. */
uint32_t journal_pulses(void);
uint32_t journal_dose_us(void);

/* Limits with a smaller counter are old ones. */
uint16_t journal_floor(void);
void journal_raise_floor(uint16_t counter);
bool journal_has_floor(uint16_t counter);

/* Of the newest whole record; grows with each. */
uint32_t journal_number(void);

#endif
