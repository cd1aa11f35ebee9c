#include "chip.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "avr_eeprom.h"
#include "avr_ioport.h"
#include "receiver.h"
#include "sim_hex.h"
#include "wire.h"

enum { PORTD_AT = 0x2B, DDRD_AT = 0x2A, MCUSR_AT = 0x54, TCCR2A_AT = 0xB0, OCR2B_AT = 0xB4 };
enum { STOP_PIN = 2, ARM_PIN = 4, BUTTON_PIN = 5, PHOTODIODE_PIN = 6 };

avr_t *avr;
FILE *logged;

static const char *image_path, *boot_path;
static bool stop_open, arm_on = true, button;
static int light = -1;
static void (*core_reset)(avr_t *);
static uint32_t random_state;

static enum photodiode mode;
static unsigned rise, fall;
static bool photodiode = true, photodiode_next = true; /* its pin, and what that is to be at `photodiode_due` */
static avr_cycle_count_t photodiode_due;

int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* Nobody reads standard error before the end: it must not fill. */
static void quiet(avr_t *a, int level, const char *format, va_list arguments)
{
    (void)a;
    if (level <= LOG_ERROR && !strstr(format, "CORE: *** Invalid"))
        vfprintf(stderr, format, arguments);
}

static uint32_t load_one(const char *path)
{
    uint32_t size, start;
    uint8_t *image = read_ihex_file(path, &size, &start);
    if (!image || start + size > avr->flashend + 1) {
        fprintf(stderr, "harness: cannot read %s\n", path);
        exit(1);
    }
    memcpy(avr->flash + start, image, size);
    free(image);
    return start;
}

static void load(void)
{
    load_one(image_path);
    if (boot_path)
        avr->reset_pc = load_one(boot_path);
}

static void raise_pins(uint8_t flipped)
{
    const struct {
        uint8_t pin;
        bool high;
    } pins[] = {{STOP_PIN, stop_open}, {ARM_PIN, !arm_on}, {BUTTON_PIN, !button}, {PHOTODIODE_PIN, photodiode}};
    for (unsigned at = 0; at < sizeof pins / sizeof *pins; at++)
        avr_raise_irq(avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('D'), pins[at].pin), pins[at].high ^ flipped);
}

static void set_pins(void)
{
    avr_ioport_external_t pins = {
        .name = 'D',
        .mask = 1 << STOP_PIN | 1 << ARM_PIN | 1 << BUTTON_PIN | 1 << PHOTODIODE_PIN,
        .value = stop_open << STOP_PIN | !arm_on << ARM_PIN | !button << BUTTON_PIN | photodiode << PHOTODIODE_PIN};
    avr_ioctl(avr, AVR_IOCTL_IOPORT_SET_EXTERNAL('D'), &pins);
    raise_pins(0);
}

static void log_photodiode(void)
{
    fprintf(logged, "D %llu %d\n", (unsigned long long)avr->cycle, photodiode);
}

static void turn_photodiode(void)
{
    if (photodiode == photodiode_next || avr->cycle < photodiode_due)
        return;
    photodiode = photodiode_next;
    log_photodiode();
    set_pins();
}

/* Wakes the chip at the moment, even if it sleeps. */
static avr_cycle_count_t photodiode_is_due(avr_t *a, avr_cycle_count_t when, void *parameter)
{
    (void)a;
    (void)when;
    (void)parameter;
    turn_photodiode();
    return 0;
}

static void see(bool lit, unsigned after)
{
    photodiode_next = lit;
    photodiode_due = avr->cycle + after;
    avr_cycle_timer_cancel(avr, photodiode_is_due, NULL);
    if (after)
        avr_cycle_timer_register(avr, after, photodiode_is_due, NULL);
}

static void log_light(void)
{
    const uint8_t *data = avr->data;
    bool ttl = data[DDRD_AT] & 0x80 && data[PORTD_AT] & 0x80;
    uint8_t amplitude = !(data[DDRD_AT] & 0x08) ? 0
                        : data[TCCR2A_AT] & 0x20 ? data[OCR2B_AT]
                        : data[PORTD_AT] & 0x08  ? 255
                                                 : 0;
    int now = ttl << 8 | amplitude;
    if (now != light) {
        if (mode == PHOTODIODE_FOLLOWS && (now ^ light) >> 8)
            see(ttl, ttl ? rise : fall);
        light = now;
        fprintf(logged, "L %llu %d %d %lld\n", (unsigned long long)avr->cycle, ttl, amplitude,
                (long long)clock_ns());
    }
    turn_photodiode();
}

/* Every reset passes here, the watchdog's too. The pins' registers are cleared, which simavr's pins do not notice. */
static void log_reset(avr_t *a)
{
    fprintf(logged, "R %llu\n", (unsigned long long)a->cycle);
    load();
    raise_pins(1);
    raise_pins(0);
    if (core_reset)
        core_reset(a);
}

static void set_switches(void)
{
    fprintf(logged, "I %llu %d %d %d\n", (unsigned long long)avr->cycle, stop_open, arm_on, button);
    set_pins();
}

void board_make(const char *image, const char *boot, uint32_t seed)
{
    image_path = image;
    boot_path = boot;
    random_state = seed;
    avr_global_logger_set(quiet);
    avr = avr_make_mcu_by_name("atmega328p");
    avr_init(avr);
    avr->log = LOG_ERROR;
    avr->run_cycle_limit = 1;
    core_reset = avr->reset;
    avr->reset = log_reset;
    load();
}

void board_reset(uint8_t mcusr)
{
    uint8_t before = mcusr & 1 ? 0 : avr->data[MCUSR_AT];
    avr_reset(avr);
    avr->data[MCUSR_AT] = before | mcusr;
    wire_drop();
    set_switches();
    log_light();
}

void board_power_on(uint8_t mcusr)
{
    fprintf(logged, "P %llu\n", (unsigned long long)avr->cycle);
    for (unsigned at = avr->ioend + 1; at <= avr->ramend; at++) {
        random_state = random_state * 1664525u + 1013904223u;
        avr->data[at] = random_state >> 24;
    }
    board_reset(mcusr);
}

static avr_cycle_count_t wake(avr_t *a, avr_cycle_count_t when, void *parameter)
{
    (void)a;
    (void)when;
    (void)parameter;
    return 0;
}

void board_run_to(avr_cycle_count_t target)
{
    if (target > avr->cycle)
        avr_cycle_timer_register(avr, target - avr->cycle, wake, NULL);
    while (avr->cycle < target) {
        receiver_run();
        int state = avr_run(avr);
        if (state == cpu_Done || state == cpu_Crashed) {
            fprintf(stderr, "harness: the program has ended at cycle %llu\n", (unsigned long long)avr->cycle);
            exit(1);
        }
        log_light();
    }
}

void board_hang(bool without_interrupts)
{
    fprintf(logged, "H %llu\n", (unsigned long long)avr->cycle);
    avr->flash[avr->pc] = 0xFF;
    avr->flash[avr->pc + 1] = 0xCF;
    if (avr->state == cpu_Sleeping)
        avr->state = cpu_Running;
    if (without_interrupts)
        avr->sreg[S_I] = 0;
}

void board_stray(void)
{
    avr->pc = 0;
    avr->state = cpu_Running;
}

void board_stop_switch(bool open)
{
    stop_open = open;
    set_switches();
}

void board_arm_switch(bool on)
{
    arm_on = on;
    set_switches();
}

void board_button(bool pressed)
{
    button = pressed;
    set_switches();
}

void board_photodiode(enum photodiode its_mode, unsigned rise_cycles, unsigned fall_cycles)
{
    mode = its_mode;
    rise = rise_cycles;
    fall = fall_cycles;
    see(mode == PHOTODIODE_FOLLOWS ? light >> 8 & 1 : mode != PHOTODIODE_DARK, 0);
    turn_photodiode();
}

void board_write_eeprom(unsigned address, const char *hex)
{
    uint8_t bytes[1024];
    int size = read_hex_string(hex, bytes, sizeof bytes);
    avr_eeprom_desc_t region = {.ee = bytes, .offset = address, .size = size};
    avr_ioctl(avr, AVR_IOCTL_EEPROM_SET, &region);
}

void board_print_eeprom(void)
{
    avr_eeprom_desc_t region = {.ee = NULL, .offset = 0, .size = 1024};
    avr_ioctl(avr, AVR_IOCTL_EEPROM_GET, &region);
    printf("E ");
    for (unsigned at = 0; at < 1024; at++)
        printf("%02x", region.ee[at]);
    printf("\n");
}
