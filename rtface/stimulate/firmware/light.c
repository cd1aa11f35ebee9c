#include "light.h"

#include <avr/interrupt.h>
#include <avr/pgmspace.h>
#include <util/atomic.h>

#include "clock.h"
#include "link.h"
#include "photodiode.h"

/* What the compare interrupts take from the match to the edge: trains and on-times come out right on the pin. */
#define BEGIN_LATENCY_TICKS 49
#define END_LATENCY_TICKS 10
#define BACKSTOP_MS 2

#define OFF STATE_DISARMED
#define ARM STATE_ARMED
#define FIR STATE_FIRING
#define GAP STATE_GAP
#define STP STATE_STOPPED
#define FLT STATE_FAULT

/* clang-format off */
static const PROGMEM uint8_t next_state[STATE_COUNT][GATE_EVENT_COUNT] = {
    /*            arm  pulse on-over train-over cancel disarm stop clear fail acknowledge */
    [OFF] = { ARM, OFF,  OFF,    OFF,       OFF,   OFF,   STP, OFF,  FLT, OFF },
    [ARM] = { ARM, FIR,  ARM,    ARM,       ARM,   OFF,   STP, ARM,  FLT, ARM },
    [FIR] = { FIR, FIR,  GAP,    ARM,       ARM,   OFF,   STP, FIR,  FLT, FIR },
    [GAP] = { GAP, FIR,  GAP,    GAP,       ARM,   OFF,   STP, GAP,  FLT, GAP },
    [STP] = { STP, STP,  STP,    STP,       STP,   STP,   STP, OFF,  FLT, STP },
    [FLT] = { FLT, FLT,  FLT,    FLT,       FLT,   FLT,   FLT, FLT,  FLT, OFF },
};
/* clang-format on */

static volatile uint8_t state = STATE_FAULT, reason;
volatile bool light_line_broke;

static volatile bool changed, ended, ticked, scheduled, begun;
static struct pulse_end last;
static struct light_order order;
static bool edge_awaited;
static uint32_t begin_at, end_at;
static uint16_t on_ms, on_ms_allowed;
static uint8_t silence_ms, silence_allowed_ms;

/* The button, by the millisecond: a hand is one that has let go before and turns no key meanwhile. */
static volatile uint16_t held_ms;
static volatile bool was_up, held_with_key, awaiting_hand;

/*
 * STOPPED and FAULT outlive a reset; kept here by whoever sets them, the main loop hanging or not. Twice: a reset while
 * one is being written leaves the other.
 */
static volatile struct {
    uint8_t state, reason;
    uint16_t check;
} latched[2] __attribute__((section(".noinit")));

static uint16_t check_of(uint8_t its_state, uint8_t its_reason)
{
    return ~((uint16_t)its_reason << 8 | its_state) ^ 0x2D00;
}

static void latch(void)
{
    for (uint8_t copy = 0; copy < 2; copy++) {
        latched[copy].state = state;
        latched[copy].reason = reason;
        latched[copy].check = check_of(state, reason);
    }
}

static bool latched_validly(uint8_t copy)
{
    return latched[copy].check == check_of(latched[copy].state, latched[copy].reason) &&
           latched[copy].state < STATE_COUNT;
}

bool light_start(bool powered_on)
{
    bool known = latched_validly(0) || latched_validly(1);
    uint8_t copy = !latched_validly(0);
    bool latching = !powered_on && known && latched[copy].state >= STATE_STOPPED;

    light_dark();
    PORTD |= SWITCH_BIT | STOP_BIT | BUTTON_BIT;
    DDRD |= TTL_BIT | AMPLITUDE_BIT;
    DDRB |= LED_BIT;
    TCCR2B = _BV(CS20);
    photodiode_start();
    state = latching ? latched[copy].state : STATE_DISARMED;
    reason = latching ? latched[copy].reason : REASON_NONE;
    latch();
    return powered_on || known;
}

/* The end is arranged before the light goes on; nothing is taken between the clock's reading and the edge. */
static void bright(void)
{
    uint32_t now = clock_ticks_locked();
    end_at = now + order.on_us * TICKS_PER_US - END_LATENCY_TICKS;
    OCR1B = (uint16_t)end_at;
    TIMSK1 |= _BV(OCIE1B);
    on_ms = 0;
    begun = true;
    TCCR2A = 0; /* outside the PWM modes OCR2B is not buffered */
    OCR2B = order.amplitude;
    TCNT2 = 0;
    PORTD |= TTL_BIT;
    uint16_t edge = TCNT1;
    TCCR2A = _BV(COM2B1) | _BV(WGM20);
    last.on_tick = now + (uint16_t)(edge - (uint16_t)now);
    photodiode_expect(true, last.on_tick, edge_awaited);
}

/* A pulse that has had its time ends in FAULT where the light itself was not seen. */
static bool apply(enum gate_event event, enum reason why)
{
    bool lit = PIND & PHOTODIODE_BIT;
    uint8_t next = pgm_read_byte(&next_state[state][event]);
    if (next == state)
        return false;
    if (next != STATE_FIRING)
        light_dark();
    uint16_t edge = TCNT1;
    link_take();
    if (next == STATE_FIRING && light_line_broke)
        return false;
    if (state == STATE_FIRING) {
        last.off_tick = clock_ticks_of_locked(edge);
        bool over = event == GATE_ON_TIME_OVER || event == GATE_TRAIN_OVER;
        if (over && !light_line_broke && photodiode_missed(lit, last.off_tick)) {
            next = STATE_FAULT;
            why = REASON_LIGHT_MISSING;
        }
        last.reason = why;
        ended = true;
        photodiode_expect(false, last.off_tick, false);
    } else if (state == STATE_FAULT) {
        photodiode_expect(false, clock_ticks_of_locked(edge), false);
    }
    state = next;
    reason = why;
    scheduled = false;
    latch();
    if (next == STATE_DISARMED || next == STATE_STOPPED || next == STATE_FAULT)
        changed = true;
    if (next == STATE_FIRING)
        bright();
    link_take();
    return true;
}

static void obey_inputs(void)
{
    uint8_t inputs = light_inputs();
    if (inputs & INPUT_STOP_OPEN)
        apply(GATE_STOP, REASON_STOP_PIN);
    if (!(inputs & INPUT_ARM_SWITCH_ON))
        apply(GATE_DISARM, REASON_ARM_SWITCH);
    if (light_line_broke) {
        light_line_broke = false;
        apply(GATE_DISARM, REASON_LINE_ERROR);
    }
}

static void watch_button(void)
{
    uint8_t inputs = light_inputs();
    bool key = inputs & INPUT_ARM_SWITCH_ON;
    if (!(inputs & INPUT_BUTTON_HELD)) {
        was_up = true;
        held_with_key = key;
        held_ms = 0;
    } else if (key != held_with_key) {
        light_forget_hand();
    } else if (was_up && held_ms < UINT16_MAX) {
        held_ms++;
    }
}

/* Only with the switches as they must be at this very moment. */
static bool begin(void)
{
    TIMSK1 &= ~_BV(OCIE1A);
    scheduled = false;
    link_take();
    obey_inputs();
    if (photodiode_lit())
        apply(GATE_FAIL, REASON_LIGHT_UNCOMMANDED);
    return apply(GATE_PULSE, REASON_NONE);
}

/*
 * Both match once in each lap of the counter, and a match of before may still be pending when one is set; only the time
 * itself counts.
 */
ISR(TIMER1_COMPA_vect)
{
    if (scheduled && reached(clock_ticks_locked(), begin_at))
        begin();
}

ISR(TIMER1_COMPB_vect)
{
    if (state == STATE_FIRING && reached(clock_ticks_locked(), end_at))
        apply(order.last ? GATE_TRAIN_OVER : GATE_ON_TIME_OVER, REASON_COMPLETED);
}

/*
 * Between two steps of the millisecond's work: the most urgent interrupt that waits is served, then the receiver. Each
 * step goes by the state that it finds. A chip needs one instruction between the two, simavr a second.
 */
static inline __attribute__((always_inline)) void serve_pending(void)
{
    __asm__ volatile("sei\n\tnop\n\tnop\n\tcli" ::: "memory");
    link_take();
}

ISR(TIMER0_COMPA_vect)
{
    static uint16_t blink;

    serve_pending();
    clock_count_ms();
    ticked = true;
    if (state != STATE_FIRING)
        light_dark();
    else if (++on_ms > on_ms_allowed)
        apply(GATE_FAIL, REASON_BACKSTOP);
    serve_pending();
    obey_inputs();
    serve_pending();
    uint32_t now = clock_ticks_locked();
    if (state != STATE_FIRING || !reached(now, end_at)) { /* a pulse that is to end now is not kept waiting */
        enum reason seen = photodiode_judge(now);
        if (seen != REASON_NONE)
            apply(GATE_FAIL, seen);
    }
    serve_pending();
    watch_button();
    if (silence_ms < UINT8_MAX)
        silence_ms++;
    if (silence_ms >= silence_allowed_ms)
        apply(GATE_DISARM, REASON_SILENCE);
    serve_pending();

    blink++;
    bool fast = blink & 64, slow = blink & 512;
    if (awaiting_hand ? slow : state == STATE_DISARMED || (state >= STATE_STOPPED && fast))
        PORTB &= ~LED_BIT;
    else
        PORTB |= LED_BIT;
}

bool light_event(enum gate_event event, enum reason why)
{
    bool applied;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { applied = event != GATE_PULSE && apply(event, why); }
    return applied;
}

enum fired { TOO_LATE_TO_PLAN, REFUSED, TAKEN };

static enum fired try_to_fire(const struct light_order *wanted, uint32_t tick)
{
    if ((state != STATE_ARMED && state != STATE_GAP) || ended)
        return REFUSED;
    order = *wanted;
    begun = false;
    if (reached(clock_ticks_locked(), tick))
        return begin() ? TAKEN : REFUSED;
    link_take();
    begin_at = tick - BEGIN_LATENCY_TICKS;
    OCR1A = (uint16_t)begin_at;
    TIMSK1 |= _BV(OCIE1A);
    scheduled = !reached(clock_ticks_locked(), begin_at);
    return scheduled ? TAKEN : TOO_LATE_TO_PLAN;
}

/* In the last moments before its time, when the interrupt cannot be had any more, wait for it: never too early. */
bool light_fire(const struct light_order *wanted, uint32_t tick)
{
    enum fired fired;
    uint16_t allowed = wanted->on_us / 1000 + BACKSTOP_MS;
    bool awaited = photodiode_checks(wanted->on_us);
    do {
        ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
        {
            on_ms_allowed = allowed;
            edge_awaited = awaited;
            fired = try_to_fire(wanted, tick);
        }
    } while (fired == TOO_LATE_TO_PLAN);
    return fired == TAKEN;
}

bool light_begun(void) { return begun; }

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
    return (pins & SWITCH_BIT ? 0 : INPUT_ARM_SWITCH_ON) | (pins & STOP_BIT ? INPUT_STOP_OPEN : 0) |
           (pins & BUTTON_BIT ? 0 : INPUT_BUTTON_HELD);
}

/* One millisecond less than the limit: the first count after a heartbeat may come at once. */
void light_rules(const struct limits *limits)
{
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { silence_allowed_ms = limits->deadman_ms - 1; }
    photodiode_rules(limits);
}

uint16_t light_held_ms(bool arm_switch_on)
{
    uint16_t held;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { held = held_with_key == arm_switch_on ? held_ms : 0; }
    return held;
}

void light_forget_hand(void)
{
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        was_up = false;
        held_ms = 0;
    }
}

void light_await_hand(bool waiting) { awaiting_hand = waiting; }

void light_heartbeat(uint8_t age_ms)
{
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { silence_ms = age_ms; }
}
