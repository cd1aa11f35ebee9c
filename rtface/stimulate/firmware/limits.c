#include "limits.h"

#include <avr/eeprom.h>
#include <stddef.h>
#include <string.h>

#include "crc.h"
#include "journal.h"

/* The first cells of an EEPROM are the ones that a brown-out hits. */
#define FIRST_COPY 64
#define COPY_STRIDE 128

struct stored {
    struct limits limits;
    uint16_t crc;
};

struct limits limits;

static const struct limits defaults = DEFAULT_LIMITS;
static enum limits_source where;
static struct stored proposal, writing;
static bool proposed, repairing;
static uint8_t in_force, copies_left, cell;

static uint8_t *address(uint8_t copy) { return (uint8_t *)(FIRST_COPY + copy * COPY_STRIDE); }

/* Copies of another protocol are none. */
static uint16_t crc_of(const struct limits *l) { return crc16(l, sizeof *l) ^ PROTOCOL; }

static bool acceptable(const struct limits *l)
{
    return l->max_on_us >= ABSOLUTE_MIN_ON_US && l->max_on_us <= ABSOLUTE_MAX_ON_US &&
           l->min_off_us >= ABSOLUTE_MIN_OFF_US && l->min_off_us <= ABSOLUTE_MAX_OFF_US &&
           l->window_ms >= ABSOLUTE_MIN_WINDOW_MS && l->window_ms <= ABSOLUTE_MAX_WINDOW_MS &&
           l->window_ms % ABSOLUTE_WINDOW_PARTS == 0 && l->window_on_us <= l->window_ms * 1000 &&
           l->deadman_ms >= ABSOLUTE_MIN_DEADMAN_MS && l->deadman_ms <= ABSOLUTE_MAX_DEADMAN_MS &&
           l->amplitude_wired <= 1 && l->signed_off_by[0] != '\0' && l->photodiode_wired <= 1 &&
           l->light_rise_us >= ABSOLUTE_MIN_LIGHT_DELAY_US && l->light_rise_us <= ABSOLUTE_MAX_LIGHT_DELAY_US &&
           l->light_fall_us >= ABSOLUTE_MIN_LIGHT_DELAY_US && l->light_fall_us <= ABSOLUTE_MAX_LIGHT_DELAY_US &&
           (!l->photodiode_wired || l->min_off_us >= l->light_fall_us);
}

/*
 * Limits that were signed under firmware 2.0 end before the photodiode: their CRC lies there, and behind it nothing was
 * ever written. Make them whole.
 */
static bool complete_older(struct stored *copy)
{
    const uint8_t older = offsetof(struct limits, photodiode_wired);
    const uint8_t *cells = (const uint8_t *)copy;
    uint16_t crc;

    memcpy(&crc, cells + older, sizeof crc);
    if (crc != (crc16(copy, older) ^ PROTOCOL))
        return false;
    for (uint8_t at = older + sizeof crc; at < sizeof *copy; at++)
        if (cells[at] != 0xFF)
            return false;
    copy->limits.photodiode_wired = 0;
    copy->limits.light_rise_us = defaults.light_rise_us;
    copy->limits.light_fall_us = defaults.light_fall_us;
    copy->crc = crc_of(&copy->limits);
    return true;
}

/* Return whether a copy is valid; `blank` becomes false if any of its cells was ever written. */
static bool read_copy(uint8_t copy, struct stored *into, bool *blank)
{
    eeprom_read_block(into, address(copy), sizeof *into);
    for (uint8_t at = 0; at < sizeof *into; at++)
        if (((const uint8_t *)into)[at] != 0xFF)
            *blank = false;
    return (into->crc == crc_of(&into->limits) || complete_older(into)) && acceptable(&into->limits) && into->limits.counter > 0 &&
           into->limits.counter <= ABSOLUTE_MAX_COUNTER;
}

static void write_from(const struct stored *what, uint8_t copies)
{
    writing = *what;
    copies_left = copies;
    cell = 0;
}

static void nothing_signed(void)
{
    limits = defaults;
    limits.counter = journal_floor();
}

enum limits_source limits_load(void)
{
    struct stored first, second;
    bool blank = true;
    bool first_valid = read_copy(0, &first, &blank), second_valid = read_copy(1, &second, &blank);
    const struct stored *newest = &first;

    if (limits_storing())
        return where;
    proposed = repairing = false;
    copies_left = 0;
    in_force = !first_valid || (second_valid && second.limits.counter > first.limits.counter);
    if (in_force)
        newest = &second;
    if (!first_valid && !second_valid) {
        bool never = blank && journal_floor() == 0 && journal_state() != JOURNAL_DAMAGED;
        where = never ? LIMITS_SOURCE_NONE : LIMITS_SOURCE_LOST;
        nothing_signed();
    } else if (newest->limits.counter < journal_floor()) {
        where = LIMITS_SOURCE_LOST;
        nothing_signed();
    } else {
        bool same = first_valid && second_valid && !memcmp(&first, &second, sizeof first);
        limits = newest->limits;
        journal_raise_floor(limits.counter);
        where = same ? LIMITS_SOURCE_EEPROM : LIMITS_SOURCE_ONE_COPY;
        repairing = !same;
        if (repairing)
            write_from(newest, 1);
    }
    return where;
}

enum limits_source limits_where(void) { return where; }

bool limits_storing(void) { return copies_left > 0 && !repairing; }

enum reason limits_propose(const struct limits *wanted, uint16_t *crc)
{
    proposed = false;
    if (limits_storing())
        return REASON_STORING;
    if (!acceptable(wanted))
        return REASON_BAD_VALUE;
    if (wanted->counter != limits.counter + 1 || wanted->counter > ABSOLUTE_MAX_COUNTER)
        return REASON_BAD_COUNTER;
    proposal.limits = *wanted;
    proposal.crc = *crc = crc_of(wanted);
    proposed = true;
    return REASON_NONE;
}

enum reason limits_commit(const struct commit_limits *wanted, bool hand)
{
    bool standing = proposed;
    proposed = false;
    if (!standing || wanted->crc != proposal.crc)
        return REASON_BAD_TOKEN;
    if (wanted->counter != proposal.limits.counter)
        return REASON_BAD_COUNTER;
    if (!hand) {
        proposed = true;
        return REASON_NO_HAND;
    }
    repairing = false;
    write_from(&proposal, 2);
    return REASON_NONE;
}

bool limits_proposed(void) { return proposed; }

void limits_forget_proposal(void) { proposed = false; }

/*
 * The copy that is not in force is written first: torn at any byte, a valid one is left. Between the two the journal
 * takes note, so that whatever becomes of the new one later, the old one is in force no more.
 */
bool limits_store(void)
{
    if (copies_left == 0 || !eeprom_is_ready())
        return false;
    if (cell < sizeof writing) {
        uint8_t copy = repairing || copies_left == 2 ? !in_force : in_force;
        eeprom_update_byte(address(copy) + cell, ((const uint8_t *)&writing)[cell]);
        cell++;
        return false;
    }
    if (copies_left == 2) {
        journal_raise_floor(writing.limits.counter);
        if (!journal_has_floor(writing.limits.counter))
            return false;
    }
    cell = 0;
    copies_left--;
    if (repairing || copies_left > 0)
        return false;
    limits_load();
    return true;
}
