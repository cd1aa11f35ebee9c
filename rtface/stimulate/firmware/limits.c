#include "limits.h"

#include <avr/eeprom.h>
#include <string.h>

#include "crc.h"

/* The first cells of an EEPROM are the ones that a brown-out hits. */
#define FIRST_COPY 64
#define COPY_STRIDE 128

struct stored {
    struct limits limits;
    uint16_t crc;
};

struct limits limits;

static enum limits_source where;
static struct stored proposal;
static bool proposed;
static uint8_t in_force, copies_left, cell;

static uint8_t *address(uint8_t copy) { return (uint8_t *)(FIRST_COPY + copy * COPY_STRIDE); }

static bool acceptable(const struct limits *l)
{
    return l->max_on_us >= ABSOLUTE_MIN_ON_US && l->max_on_us <= ABSOLUTE_MAX_ON_US &&
           l->min_off_us >= ABSOLUTE_MIN_OFF_US && l->min_off_us <= ABSOLUTE_MAX_OFF_US &&
           l->window_ms >= ABSOLUTE_MIN_WINDOW_MS && l->window_ms <= ABSOLUTE_MAX_WINDOW_MS &&
           l->window_ms % ABSOLUTE_WINDOW_PARTS == 0 && l->window_on_us <= l->window_ms * 1000 &&
           l->deadman_ms >= ABSOLUTE_MIN_DEADMAN_MS && l->deadman_ms <= ABSOLUTE_MAX_DEADMAN_MS &&
           l->arm_switch <= 1;
}

/* Return whether a copy is valid; `blank` becomes false if any of its cells was ever written. */
static bool read_copy(uint8_t copy, struct stored *into, bool *blank)
{
    eeprom_read_block(into, address(copy), sizeof *into);
    for (uint8_t at = 0; at < sizeof *into; at++)
        if (((const uint8_t *)into)[at] != 0xFF)
            *blank = false;
    return into->crc == crc16(&into->limits, sizeof into->limits) && acceptable(&into->limits);
}

enum limits_source limits_load(void)
{
    static const struct limits defaults = DEFAULT_LIMITS;
    struct stored first, second;
    bool blank = true;
    bool first_valid = read_copy(0, &first, &blank), second_valid = read_copy(1, &second, &blank);

    in_force = !first_valid || (second_valid && second.limits.counter > first.limits.counter);
    limits = !first_valid && !second_valid ? defaults : in_force ? second.limits : first.limits;
    if (first_valid && second_valid && !memcmp(&first, &second, sizeof first))
        where = LIMITS_SOURCE_EEPROM;
    else if (first_valid || second_valid)
        where = LIMITS_SOURCE_ONE_COPY;
    else
        where = blank ? LIMITS_SOURCE_DEFAULTS : LIMITS_SOURCE_LOST;
    return where;
}

enum limits_source limits_where(void) { return where; }

bool limits_storing(void) { return copies_left > 0; }

enum reason limits_propose(const struct limits *wanted, uint16_t *crc)
{
    proposed = false;
    if (limits_storing())
        return REASON_STORING;
    if (!acceptable(wanted) || wanted->signed_off_by[0] == '\0')
        return REASON_BAD_VALUE;
    if (wanted->counter != limits.counter + 1)
        return REASON_BAD_COUNTER;
    proposal.limits = *wanted;
    proposal.crc = *crc = crc16(wanted, sizeof *wanted);
    proposed = true;
    return REASON_NONE;
}

enum reason limits_commit(const struct commit_limits *wanted)
{
    bool standing = proposed;
    proposed = false;
    if (!standing || wanted->crc != proposal.crc)
        return REASON_BAD_TOKEN;
    if (wanted->counter != proposal.limits.counter)
        return REASON_BAD_COUNTER;
    copies_left = 2;
    cell = 0;
    return REASON_NONE;
}

void limits_forget_proposal(void) { proposed = false; }

/* The copy that is not in force is written first: torn at any byte, a valid one is left. */
bool limits_store(void)
{
    if (!limits_storing() || !eeprom_is_ready())
        return false;
    if (cell < sizeof proposal) {
        uint8_t copy = copies_left == 2 ? !in_force : in_force;
        eeprom_update_byte(address(copy) + cell, ((const uint8_t *)&proposal)[cell]);
        cell++;
        return false;
    }
    cell = 0;
    copies_left--;
    if (limits_storing())
        return false;
    limits_load();
    return true;
}
