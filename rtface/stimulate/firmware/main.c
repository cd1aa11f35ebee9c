/* The gate: everything that is done by turns. What may not wait is done by the interrupts of light.c. */
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <avr/wdt.h>

#include "clock.h"
#include "commands.h"
#include "light.h"
#include "limits.h"
#include "link.h"
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

    guard = GUARD;
    clock_start();
    limits_load();
    bool taken_up = session_start(powered_on);
    MCUSR = 0;
    light_rules(limits.deadman_ms, limits.arm_switch);
    light_start(powered_on);
    /* These resets leave memory alone. If the session is gone all the same, something has written over it. */
    if (!taken_up && (reset_cause & (_BV(WDRF) | _BV(EXTRF))) && !(reset_cause & (_BV(PORF) | _BV(BORF))))
        light_event(GATE_FAIL, REASON_MEMORY);
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
        if (limits_store()) {
            session_new_limits();
            light_rules(limits.deadman_ms, limits.arm_switch);
            pulses_report(KIND_LIMITS_STORED, REASON_NONE, limits.counter, clock_us());
        }
        commands_poll();
        sleep_until_something_happens();
    }
}
