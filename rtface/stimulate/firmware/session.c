#include "session.h"

#include <stddef.h>
#include <string.h>

#include "clock.h"
#include "crc.h"
#include "journal.h"
#include "limits.h"

#define MAGIC 0x72744731UL
#define PARTS (ABSOLUTE_WINDOW_PARTS + 1)

/* What is allowed ahead in the journal. Half of it outlasts the 60 ms that a record takes, even at the fastest train. */
#define BLOCK_PULSES 128
#define BLOCK_US 500000UL

struct session session;

/* Two copies: a reset while one is being written leaves the other. */
static struct session kept[2] __attribute__((section(".noinit")));

/* Light that ended in each part of the window; with the part under way they span more than the window. */
static uint32_t parts[PARTS], parts_sum;
static uint8_t part;
static uint32_t part_began_ms;

static uint32_t charged_dose_us, rest_since;
static uint8_t charged_amplitude;
static bool charged, rested;

/* Whether the journal has to be looked at, and whether to be written whatever it says. */
static bool changed, journal_due;

static uint16_t crc_of(const struct session *record) { return crc16(record, offsetof(struct session, crc)); }

static void keep(void)
{
    changed = true;
    session.crc = crc_of(&session);
    kept[0] = session;
    __asm__ volatile("" ::: "memory");
    kept[1] = session;
    __asm__ volatile("" ::: "memory");
}

static bool valid(const struct session *record)
{
    return record->magic == MAGIC && record->crc == crc_of(record);
}

static void one_part(uint32_t on_us)
{
    memset(parts, 0, sizeof parts);
    parts[part] = parts_sum = on_us;
    part_began_ms = clock_ms();
}

static void rest(uint32_t since)
{
    rest_since = since;
    rested = false;
}

bool session_start(bool powered_on)
{
    bool remembered = valid(&kept[0]) || valid(&kept[1]);
    if (powered_on) {
        session = (struct session){.magic = MAGIC};
    } else if (remembered) {
        session = valid(&kept[0]) ? kept[0] : kept[1];
        session.resets++;
    } else {
        bool known = journal_state() == JOURNAL_KNOWN;
        session = (struct session){
            .magic = MAGIC,
            .pulses = known ? journal_pulses() : UINT32_MAX,
            .dose_us = known ? journal_dose_us() : UINT32_MAX,
            .window_us = limits.window_on_us,
        };
    }
    one_part(session.window_us);
    rest(0); /* dark since the clock was started */
    keep();
    return powered_on || remembered;
}

static uint32_t plus(uint32_t a, uint32_t b) { return a > UINT32_MAX - b ? UINT32_MAX : a + b; }

static uint32_t block_us(void)
{
    uint32_t sixteenth = limits.session_dose_us / 16, pulses = 4 * limits.max_on_us;
    uint32_t block = sixteenth > pulses ? sixteenth : pulses;
    return block > BLOCK_US ? block : BLOCK_US;
}

void session_enter_in_journal(void)
{
    journal_begin(plus(session.pulses, BLOCK_PULSES), plus(session.dose_us, block_us()));
}

static bool within_journal(uint32_t pulses, uint32_t us)
{
    return plus(session.pulses, pulses) <= journal_pulses() && plus(session.dose_us, us) <= journal_dose_us();
}

static void keep_journal_ahead(void)
{
    bool old_floor = !journal_has_floor(journal_floor());
    if (journal_busy() || (!changed && !old_floor))
        return;
    changed = false;
    if (!journal_due && !old_floor && within_journal(BLOCK_PULSES / 2, block_us() / 2))
        return;
    journal_write(plus(session.pulses, BLOCK_PULSES), plus(session.dose_us, block_us()));
    journal_due = false;
}

void session_begin_anew(void)
{
    session = (struct session){.magic = MAGIC, .resets = session.resets, .window_us = parts_sum};
    journal_due = true;
    keep();
}

void session_poll(void)
{
    uint32_t part_ms = limits.window_ms / ABSOLUTE_WINDOW_PARTS;
    while (clock_ms() - part_began_ms >= part_ms) {
        part_began_ms += part_ms;
        part = (part + 1) % PARTS;
        parts_sum -= parts[part];
        parts[part] = 0;
    }
    if (!charged)
        session.window_us = parts_sum;
    if (!charged && !rested && reached(clock_ticks(), rest_since + limits.min_off_us * TICKS_PER_US))
        rested = true;
    keep_journal_ahead();
}

void session_new_limits(void)
{
    one_part(parts_sum);
    rest(clock_ticks());
    changed = true;
}

/* Rounded up; no step exceeds 32 bits. Over the TTL alone all light is full light. */
static uint32_t dose(uint32_t on_us, uint8_t amplitude)
{
    if (!limits.amplitude_wired)
        return on_us;
    return on_us / 255 * amplitude + (on_us % 255 * amplitude + 254) / 255;
}

static bool fits(uint32_t more, uint32_t had, uint32_t limit) { return had <= limit && more <= limit - had; }

enum reason session_refusal(uint32_t on_us, uint8_t amplitude, uint32_t tick)
{
    session_poll();
    if (on_us > limits.max_on_us)
        return REASON_TOO_LONG;
    if (amplitude > limits.max_amplitude)
        return REASON_TOO_STRONG;
    if (!rested && !reached(tick, rest_since + limits.min_off_us * TICKS_PER_US))
        return REASON_TOO_SOON;
    if (!fits(1, session.pulses, limits.session_pulses))
        return REASON_SESSION_PULSES;
    if (!fits(dose(on_us, amplitude), session.dose_us, limits.session_dose_us))
        return REASON_SESSION_DOSE;
    if (!fits(on_us, parts_sum, limits.window_on_us))
        return REASON_WINDOW_FULL;
    if (!within_journal(1, dose(on_us, amplitude)))
        return REASON_STORING;
    return REASON_NONE;
}

void session_charge(uint32_t on_us, uint8_t amplitude)
{
    charged = true;
    charged_amplitude = amplitude;
    charged_dose_us = dose(on_us, amplitude);
    session.pulses++;
    session.dose_us += charged_dose_us;
    session.window_us = parts_sum + on_us;
    keep();
}

void session_settle(uint32_t on_us, uint32_t off_tick)
{
    uint32_t had = dose(on_us, charged_amplitude);
    session.dose_us -= charged_dose_us;
    session.dose_us = had > UINT32_MAX - session.dose_us ? UINT32_MAX : session.dose_us + had;
    parts[part] += on_us;
    parts_sum += on_us;
    session.window_us = parts_sum;
    charged = false;
    rest(off_tick);
    keep();
}

void session_give_back(void)
{
    session.pulses--;
    session.dose_us -= charged_dose_us;
    session.window_us = parts_sum;
    charged = false;
    keep();
}
