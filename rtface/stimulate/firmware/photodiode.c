#include "photodiode.h"

#include <avr/interrupt.h>
#include <util/atomic.h>

#include "clock.h"
#include "light.h"

static volatile bool wired, commanded, watching;
static uint32_t rise_ticks, fall_ticks;

/* When the light was commanded or last seen; while it is not commanded, when it was switched off. */
static uint32_t since;

/* The flag may be set from before; a level that is there already raises none, and is seen by the next judgement. */
static void await_edge(void)
{
    PCIFR = _BV(PCIF2);
    PCICR = _BV(PCIE2);
}

void photodiode_start(void)
{
    PORTD |= PHOTODIODE_BIT;
    PCMSK2 = _BV(PCINT22);
    photodiode_expect(false, clock_ticks_locked(), false);
}

void photodiode_rules(const struct limits *limits)
{
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        wired = limits->photodiode_wired;
        rise_ticks = limits->light_rise_us * TICKS_PER_US;
        fall_ticks = limits->light_fall_us * TICKS_PER_US;
        photodiode_expect(false, clock_ticks_locked(), false);
    }
}

bool photodiode_lit(void) { return wired && PIND & PHOTODIODE_BIT; }

bool photodiode_checks(uint32_t on_us) { return wired && on_us * TICKS_PER_US >= rise_ticks; }

void photodiode_expect(bool light, uint32_t tick, bool edge)
{
    PCICR = 0;
    watching = false;
    commanded = light;
    since = tick;
    if (edge)
        await_edge();
}

bool photodiode_missed(bool lit, uint32_t tick) { return wired && !lit && reached(tick, since + rise_ticks); }

enum reason photodiode_judge(uint32_t now)
{
    if (!wired)
        return REASON_NONE;
    if (commanded) {
        bool lit = photodiode_lit();
        if (lit)
            since = now;
        return photodiode_missed(lit, now) ? REASON_LIGHT_MISSING : REASON_NONE;
    }
    if (!watching) {
        if (!reached(now, since + fall_ticks))
            return REASON_NONE;
        watching = true;
        await_edge();
    }
    return photodiode_lit() ? REASON_LIGHT_UNCOMMANDED : REASON_NONE;
}

/* Once for each time that it is waited for: an input that swings cannot keep the chip from its work. */
ISR(PCINT2_vect)
{
    PCICR = 0;
    if (commanded)
        since = clock_ticks_locked();
    else
        light_event(GATE_FAIL, REASON_LIGHT_UNCOMMANDED);
}
