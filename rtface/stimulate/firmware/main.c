/* The gate: everything that is done by turns. What may not wait is done by the interrupts of light.c. */
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <avr/wdt.h>

#include "clock.h"
#include "commands.h"
#include "journal.h"
#include "light.h"
#include "limits.h"
#include "link.h"
#include "nonce.h"
#include "photodiode.h"
#include "pulses.h"
#include "session.h"

/* The stack grows down to here; nothing else uses this memory. */
extern uint8_t __heap_start;
#define GUARD 0xA5C35A3CUL
#define guard (*(volatile uint32_t *)&__heap_start)

/*
 * Runs before memory is set up: the light is driven low, and the watchdog is on, whatever comes after. A program that
 * has lost its way can come here without a reset, so nothing is taken for granted.
 */
__attribute__((naked, used, section(".init3"))) static void first_of_all(void)
{
    cli();
    TCCR2A = 0;
    PORTD = 0;
    DDRD = TTL_BIT | AMPLITUDE_BIT;
    UCSR0B = 0; /* nothing that a boot loader was sent counts */
    GPIOR0 = MCUSR;
    MCUSR = GPIOR0 & _BV(PORF); /* stays until the session is written; a second reset may come before that */
    wdt_enable(WDTO_15MS);
}

/* An interrupt that nobody asked for: dark, then the watchdog's reset. */
ISR(BADISR_vect)
{
    PORTD = 0;
    TCCR2A = 0;
    for (;;)
        ;
}

static void start(void)
{
    uint8_t reset_cause = GPIOR0;
    bool powered_on = reset_cause & _BV(PORF);

    clock_start();
    nonce_start(); /* takes its chance from memory that nobody has set */
    guard = GUARD;
    journal_load();
    limits_load();
    bool remembered = session_start(powered_on);
    MCUSR = 0;
    light_rules(&limits);
    remembered = light_start(powered_on) && remembered;
    session_enter_in_journal();
    /*
     * The chip has not seen power come, and memory does not hold the session: another program was here, or a boot loader
     * hid the cause. Only somebody at the device can tell.
     */
    if (!remembered)
        light_event(GATE_FAIL, REASON_MEMORY);
    if (limits_where() == LIMITS_SOURCE_LOST)
        light_event(GATE_FAIL, REASON_LIMITS_LOST);
    link_start();
    set_sleep_mode(SLEEP_MODE_IDLE);
    sei();
    commands_start(reset_cause);
}

static void report_change(void)
{
    if (!light_take_change())
        return;
    pulses_report(KIND_STATE, light_reason(), 0, clock_us());
}

/* Whether a hand can say that the cause is seen to. */
static bool acknowledgeable(enum reason reason)
{
    switch (reason) {
    case REASON_MEMORY:
    case REASON_LIMITS_LOST:
        return limits_load() != LIMITS_SOURCE_LOST;
    case REASON_LIGHT_UNCOMMANDED:
    case REASON_LIGHT_MISSING:
        return !photodiode_lit() && limits_load() != LIMITS_SOURCE_LOST;
    default:
        return false;
    }
}

/* The arm switch off and the button held: such a fault is seen to; held for longer, a new session begins. */
static void obey_hand(void)
{
    static bool begun;
    uint16_t held = light_held_ms(false);
    if (held < ABSOLUTE_HAND_MS) {
        begun = false;
        return;
    }
    if (light_state() == STATE_FAULT && acknowledgeable(light_reason()))
        light_event(GATE_ACKNOWLEDGE, REASON_ACKNOWLEDGED);
    if (held >= ABSOLUTE_NEW_SESSION_MS && !begun && light_state() == STATE_DISARMED) {
        begun = true;
        session_begin_anew();
        pulses_report(KIND_NEW_SESSION, REASON_ACKNOWLEDGED, 0, clock_us());
    }
}

static void sleep_until_something_happens(void)
{
    cli();
    if (!link_waiting() && !light_attention()) {
        sleep_enable();
        sei();
        sleep_cpu();
        sleep_disable();
    }
    sei();
}

int main(void)
{
    start();
    for (;;) {
        if (light_take_tick())
            wdt_reset();
        if (guard != GUARD)
            light_event(GATE_FAIL, REASON_MEMORY);
        pulses_poll();
        report_change();
        session_poll();
        journal_poll();
        obey_hand();
        light_await_hand(limits_proposed());
        if (limits_store()) {
            session_new_limits();
            light_rules(&limits);
            if (light_reason() == REASON_LIMITS_LOST && limits_where() != LIMITS_SOURCE_LOST)
                light_event(GATE_ACKNOWLEDGE, REASON_ACKNOWLEDGED);
            pulses_report(KIND_LIMITS_STORED, REASON_NONE, limits.counter, clock_us());
        }
        commands_poll();
        sleep_until_something_happens();
    }
}
