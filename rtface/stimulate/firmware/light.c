#include "light.h"

#include <avr/interrupt.h>
#include <avr/pgmspace.h>
#include <util/atomic.h>

#include "clock.h"

/* What the compare interrupt takes from the match to the falling edge: on-times come out right on the pin. */
#define LATENCY_TICKS 10
#define BACKSTOP_MS 2

#define OFF STATE_DISARMED
#define ARM STATE_ARMED
#define FIR STATE_FIRING
#define GAP STATE_GAP
#define STP STATE_STOPPED
#define FLT STATE_FAULT

/* clang-format off */
static const PROGMEM uint8_t next_state[STATE_COUNT][GATE_EVENT_COUNT] = {
    /*            arm  pulse on-over train-over cancel disarm stop clear fail */
    [OFF] = { ARM, OFF,  OFF,    OFF,       OFF,   OFF,   STP, OFF,  FLT },
    [ARM] = { ARM, FIR,  ARM,    ARM,       ARM,   OFF,   STP, ARM,  FLT },
    [FIR] = { FIR, FIR,  GAP,    ARM,       ARM,   OFF,   STP, FIR,  FLT },
    [GAP] = { GAP, FIR,  GAP,    GAP,       ARM,   OFF,   STP, GAP,  FLT },
    [STP] = { STP, STP,  STP,    STP,       STP,   STP,   STP, OFF,  FLT },
    [FLT] = { FLT, FLT,  FLT,    FLT,       FLT,   FLT,   FLT, FLT,  FLT },
};
/* clang-format on */

static volatile uint8_t state = STATE_FAULT, reason;
static volatile bool changed, ended, ticked, line_error;
static struct pulse_end last;
static struct light_order order;
static uint32_t deadline;
static uint16_t on_ms, on_ms_allowed;
static uint8_t silence_ms, silence_allowed_ms;
static bool arm_switch_required;

static void dark(void)
{
    PORTD &= ~TTL_BIT;
    TCCR2A = 0;
}

void light_start(uint8_t latched_state)
{
    dark();
    PORTD |= SWITCH_BIT | STOP_BIT;
    DDRD |= TTL_BIT | AMPLITUDE_BIT;
    DDRB |= LED_BIT;
    TCCR2B = _BV(CS20);
    state = latched_state;
}

static void bright(void)
{
    last.on_tick = clock_ticks_locked();
    deadline = last.on_tick + order.on_us * TICKS_PER_US - LATENCY_TICKS;
    OCR1B = (uint16_t)deadline;
    TIFR1 = _BV(OCF1B);
    TIMSK1 |= _BV(OCIE1B);
    on_ms = 0;
    TCCR2A = 0; /* outside the PWM modes OCR2B is not buffered */
    OCR2B = order.amplitude;
    TCNT2 = 0;
    TCCR2A = _BV(COM2B1) | _BV(WGM20);
    PORTD |= TTL_BIT;
}

static bool apply(enum gate_event event, enum reason why)
{
    uint8_t next = pgm_read_byte(&next_state[state][event]);
    if (next == state)
        return false;
    if (next != STATE_FIRING)
        dark();
    if (state == STATE_FIRING) {
        last.off_tick = clock_ticks_locked();
        last.reason = why;
        ended = true;
    }
    state = next;
    reason = why;
    if (next == STATE_DISARMED || next == STATE_STOPPED || next == STATE_FAULT)
        changed = true;
    if (next == STATE_FIRING)
        bright();
    return true;
}

/* Matches once in each lap of the counter; the last lap is the one that counts. */
ISR(TIMER1_COMPB_vect)
{
    if (state == STATE_FIRING && reached(clock_ticks_locked(), deadline))
        apply(order.last ? GATE_TRAIN_OVER : GATE_ON_TIME_OVER, REASON_COMPLETED);
}

ISR(TIMER0_COMPA_vect)
{
    static uint8_t blink;
    uint8_t inputs = light_inputs();

    clock_count_ms();
    ticked = true;
    if (state != STATE_FIRING)
        dark();
    else if (++on_ms > on_ms_allowed)
        apply(GATE_FAIL, REASON_BACKSTOP);
    if (inputs & INPUT_STOP_OPEN)
        apply(GATE_STOP, REASON_STOP_PIN);
    if (arm_switch_required && !(inputs & INPUT_ARM_SWITCH_ON))
        apply(GATE_DISARM, REASON_ARM_SWITCH);
    if (silence_ms < UINT8_MAX)
        silence_ms++;
    if (silence_ms >= silence_allowed_ms)
        apply(GATE_DISARM, REASON_SILENCE);
    if (line_error) {
        line_error = false;
        apply(GATE_DISARM, REASON_LINE_ERROR);
    }

    blink++;
    if (state == STATE_DISARMED || (state >= STATE_STOPPED && blink & 64))
        PORTB &= ~LED_BIT;
    else
        PORTB |= LED_BIT;
}

void light_line_error(void)
{
    dark();
    line_error = true;
}

bool light_event(enum gate_event event, enum reason why)
{
    bool applied;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { applied = event != GATE_PULSE && apply(event, why); }
    return applied;
}

bool light_fire(const struct light_order *wanted)
{
    bool fired = false;
    uint16_t allowed = wanted->on_us / 1000 + BACKSTOP_MS;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        if (state != STATE_FIRING && !ended && !line_error) {
            order = *wanted;
            on_ms_allowed = allowed;
            fired = apply(GATE_PULSE, REASON_NONE);
        }
    }
    return fired;
}

bool light_take_end(struct pulse_end *end)
{
    bool taken;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        taken = ended;
        *end = last;
        ended = false;
    }
    return taken;
}

bool light_take_change(void)
{
    bool taken;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        taken = changed;
        changed = false;
    }
    return taken;
}

bool light_take_tick(void)
{
    bool taken;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        taken = ticked;
        ticked = false;
    }
    return taken;
}

bool light_attention(void) { return ended || changed || ticked; }

enum state light_state(void) { return state; }

enum reason light_reason(void) { return reason; }

uint32_t light_on_tick(void)
{
    uint32_t tick;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { tick = last.on_tick; }
    return tick;
}

uint8_t light_inputs(void)
{
    uint8_t pins = PIND;
    return (pins & SWITCH_BIT ? 0 : INPUT_ARM_SWITCH_ON) | (pins & STOP_BIT ? INPUT_STOP_OPEN : 0);
}

/* One millisecond less than the limit: the first count after a heartbeat may come at once. */
void light_rules(uint8_t deadman_ms, bool arm_switch)
{
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        silence_allowed_ms = deadman_ms - 1;
        arm_switch_required = arm_switch;
    }
}

void light_heartbeat(void)
{
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { silence_ms = 0; }
}
