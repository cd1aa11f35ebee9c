/*
 * The safety gate in emulation: the shipped image on simavr's ATmega328P, its light and line logged by cycle.
 *
 *   harness IMAGE.hex BOOT SEED scripted          time moves only by "run"; the log comes on standard output
 *   harness IMAGE.hex BOOT SEED paced LOG PORT    time follows the monotonic clock; PORT links to a pseudo-terminal
 *
 * BOOT is a boot loader as Intel hex, where each reset begins then, or "-".
 *
 * Commands, one a line:  run CYCLES | send HEX | garble HH (a byte with a framing error) | stop 0/1 (1 = open) |
 * arm 0/1 (1 = on) | button 0/1 (1 = pressed) | cable 0/1 (1 = plugged; the board keeps its power) | reset MCUSR | power MCUSR (memory is lost) |
 * hang 0/1 (the program, with or without interrupts, until the next reset) | dtr 0/1 (1 = opening the port resets, as on
 * an Uno) | stray (the program goes on at its start, no reset) | poke ADDRESS VALUE | eeprom ADDRESS HEX | dump (the EEPROM) | peek ADDRESS. Each is answered by "done CYCLE".
 *
 * Log:  L CYCLE TTL AMPLITUDE NANOSECONDS | T CYCLE HH (byte sent) | B CYCLE HH 0/1 (byte delivered; 1 = garbled) |
 * R CYCLE (reset) | P CYCLE (power lost) | H CYCLE (hang) | I CYCLE STOP ARM BUTTON (the switches) | U CYCLE 0/1 (the cable) |
 * C CYCLE NANOSECONDS (cycle and clock from here on). Bytes travel at 1 Mbaud; simavr hands one over a byte's time late.
 * NANOSECONDS are the monotonic clock's when the emulation came to the cycle, so never earlier than on a board.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "avr_eeprom.h"
#include "avr_ioport.h"
#include "avr_uart.h"
#include "sim_avr.h"
#include "sim_hex.h"

enum { FREQUENCY = 16000000, BYTE_CYCLES = 160, SLICE_CYCLES = FREQUENCY / 4000, MAX_LAG_CYCLES = FREQUENCY / 200 };
enum { PORTD_AT = 0x2B, DDRD_AT = 0x2A, MCUSR_AT = 0x54, TCCR2A_AT = 0xB0, OCR2B_AT = 0xB4 };
enum { WIRE = 1 << 16 };

static avr_t *avr;
static avr_irq_t *uart_in;
static FILE *logged;
static const char *image_path, *boot_path, *port_path;
static int pty = -1, pty_slave = -1, opened = -1;
static bool dtr;
static bool plugged = true, stop_open, arm_on = true, button;
static int light = -1;
static uint16_t wire[WIRE];
static unsigned wire_head, wire_tail;
static bool wire_busy;
static void (*core_reset)(avr_t *);
static uint32_t random_state;

static void quiet(avr_t *a, int level, const char *format, va_list arguments)
{
    (void)a;
    if (level <= LOG_ERROR && !strstr(format, "CORE: *** Invalid"))
        vfprintf(stderr, format, arguments);
}

static avr_cycle_count_t deliver(avr_t *a, avr_cycle_count_t when, void *parameter)
{
    (void)parameter;
    if (wire_head == wire_tail) {
        wire_busy = false;
        return 0;
    }
    uint16_t value = wire[wire_tail++ % WIRE];
    if (plugged) {
        fprintf(logged, "B %llu %02x %d\n", (unsigned long long)a->cycle, value & 0xFF, value > 0xFF);
        avr_raise_irq(uart_in, value);
    }
    return when + BYTE_CYCLES;
}

static void enqueue(uint16_t value)
{
    if (wire_head - wire_tail == WIRE) {
        fprintf(stderr, "harness: the wire is full\n");
        exit(1);
    }
    wire[wire_head++ % WIRE] = value;
    if (!wire_busy) {
        wire_busy = true;
        avr_cycle_timer_register(avr, BYTE_CYCLES, deliver, NULL);
    }
}

static void sent(struct avr_irq_t *irq, uint32_t value, void *parameter)
{
    (void)irq;
    (void)parameter;
    uint8_t byte = value;
    if (!plugged)
        return;
    fprintf(logged, "T %llu %02x\n", (unsigned long long)avr->cycle, byte);
    if (pty >= 0 && write(pty, &byte, 1) < 0 && errno != EAGAIN)
        perror("harness: pseudo-terminal");
}

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
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
        light = now;
        fprintf(logged, "L %llu %d %d %lld\n", (unsigned long long)avr->cycle, ttl, amplitude,
                (long long)clock_ns());
    }
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
    if (strcmp(boot_path, "-"))
        avr->reset_pc = load_one(boot_path);
}

static void raise_pins(uint8_t flipped)
{
    const struct {
        uint8_t pin;
        bool high;
    } pins[] = {{2, stop_open}, {4, !arm_on}, {5, !button}};
    for (unsigned at = 0; at < sizeof pins / sizeof *pins; at++)
        avr_raise_irq(avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('D'), pins[at].pin), pins[at].high ^ flipped);
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

static void set_inputs(void)
{
    fprintf(logged, "I %llu %d %d %d\n", (unsigned long long)avr->cycle, stop_open, arm_on, button);
    avr_ioport_external_t switches = {
        .name = 'D', .mask = 1 << 2 | 1 << 4 | 1 << 5, .value = stop_open << 2 | !arm_on << 4 | !button << 5};
    avr_ioctl(avr, AVR_IOCTL_IOPORT_SET_EXTERNAL('D'), &switches);
    raise_pins(0);
}

static void reset(uint8_t mcusr)
{
    uint8_t before = mcusr & 1 ? 0 : avr->data[MCUSR_AT];
    avr_reset(avr);
    avr->data[MCUSR_AT] = before | mcusr;
    wire_tail = wire_head;
    wire_busy = false;
    set_inputs();
    log_light();
}

static void lose_memory(void)
{
    fprintf(logged, "P %llu\n", (unsigned long long)avr->cycle);
    for (unsigned at = avr->ioend + 1; at <= avr->ramend; at++) {
        random_state = random_state * 1664525u + 1013904223u;
        avr->data[at] = random_state >> 24;
    }
}

static void no_sleep(avr_t *a, avr_cycle_count_t cycles)
{
    (void)a;
    (void)cycles;
}

static avr_cycle_count_t wake(avr_t *a, avr_cycle_count_t when, void *parameter)
{
    (void)a;
    (void)when;
    (void)parameter;
    return 0;
}

static void run_to(avr_cycle_count_t target)
{
    if (target > avr->cycle)
        avr_cycle_timer_register(avr, target - avr->cycle, wake, NULL);
    while (avr->cycle < target) {
        int state = avr_run(avr);
        if (state == cpu_Done || state == cpu_Crashed) {
            fprintf(stderr, "harness: the program has ended at cycle %llu\n", (unsigned long long)avr->cycle);
            exit(1);
        }
        log_light();
    }
}

/* A jump to itself in place of the instruction that comes next. */
static void hang(bool without_interrupts)
{
    fprintf(logged, "H %llu\n", (unsigned long long)avr->cycle);
    avr->flash[avr->pc] = 0xFF;
    avr->flash[avr->pc + 1] = 0xCF;
    if (avr->state == cpu_Sleeping)
        avr->state = cpu_Running;
    if (without_interrupts)
        avr->sreg[S_I] = 0;
}

static void write_eeprom(unsigned address, const char *hex)
{
    uint8_t bytes[1024];
    int size = read_hex_string(hex, bytes, sizeof bytes);
    avr_eeprom_desc_t region = {.ee = bytes, .offset = address, .size = size};
    avr_ioctl(avr, AVR_IOCTL_EEPROM_SET, &region);
}

static void dump_eeprom(void)
{
    avr_eeprom_desc_t region = {.ee = NULL, .offset = 0, .size = 1024};
    avr_ioctl(avr, AVR_IOCTL_EEPROM_GET, &region);
    printf("E ");
    for (unsigned at = 0; at < 1024; at++)
        printf("%02x", region.ee[at]);
    printf("\n");
}

static void open_pty(void)
{
    char name[64];
    struct termios raw;
    if (openpty(&pty, &pty_slave, name, NULL, NULL) || tcgetattr(pty_slave, &raw)) {
        perror("harness: pseudo-terminal");
        exit(1);
    }
    cfmakeraw(&raw);
    tcsetattr(pty_slave, TCSANOW, &raw); /* the slave stays open: the cable stays plugged when the host goes */
    fcntl(pty, F_SETFL, O_NONBLOCK);
    opened = inotify_init1(IN_NONBLOCK);
    inotify_add_watch(opened, name, IN_OPEN);
    unlink(port_path);
    if (symlink(name, port_path)) {
        perror(port_path);
        exit(1);
    }
}

static void close_pty(void)
{
    unlink(port_path);
    close(pty);
    close(pty_slave);
    close(opened);
    pty = pty_slave = opened = -1;
}

static void plug(bool in)
{
    plugged = in;
    fprintf(logged, "U %llu %d\n", (unsigned long long)avr->cycle, in);
    if (port_path && in && pty < 0)
        open_pty();
    if (port_path && !in && pty >= 0)
        close_pty();
}

static void take_bytes(void)
{
    uint8_t bytes[256];
    if (read(opened, bytes, sizeof bytes) > 0 && dtr)
        reset(2);
    ssize_t size = read(pty, bytes, sizeof bytes);
    for (ssize_t at = 0; at < size; at++)
        enqueue(bytes[at]);
}

static void obey(char *line)
{
    unsigned long long number;
    unsigned a, b;
    char *hex = strrchr(line, ' ');
    hex = hex ? hex + 1 : line;
    if (sscanf(line, "run %llu", &number) == 1)
        run_to(avr->cycle + number);
    else if (!strncmp(line, "send ", 5))
        for (; sscanf(hex, "%2x", &a) == 1; hex += 2)
            enqueue(a);
    else if (sscanf(line, "garble %x", &a) == 1)
        enqueue(a | UART_INPUT_FE);
    else if (sscanf(line, "stop %u", &a) == 1)
        stop_open = a, set_inputs();
    else if (sscanf(line, "arm %u", &a) == 1)
        arm_on = a, set_inputs();
    else if (sscanf(line, "button %u", &a) == 1)
        button = a, set_inputs();
    else if (sscanf(line, "cable %u", &a) == 1)
        plug(a);
    else if (sscanf(line, "reset %u", &a) == 1)
        reset(a);
    else if (sscanf(line, "power %u", &a) == 1)
        lose_memory(), reset(a);
    else if (sscanf(line, "hang %u", &a) == 1)
        hang(a);
    else if (!strncmp(line, "stray", 5))
        avr->pc = 0, avr->state = cpu_Running;
    else if (sscanf(line, "dtr %u", &a) == 1)
        dtr = a;
    else if (sscanf(line, "peek %u", &a) == 1)
        printf("M %02x\n", avr->data[a]);
    else if (sscanf(line, "poke %u %u", &a, &b) == 2)
        avr_core_watch_write(avr, a, b);
    else if (sscanf(line, "eeprom %u", &a) == 1)
        write_eeprom(a, hex);
    else if (!strncmp(line, "dump", 4))
        dump_eeprom();
    else {
        fprintf(stderr, "harness: unknown command: %s\n", line);
        exit(1);
    }
    fflush(logged);
    printf("done %llu\n", (unsigned long long)avr->cycle);
    fflush(stdout);
}

/* False at the end of standard input. */
static bool take_commands(void)
{
    static char text[1 << 14];
    static size_t size;
    ssize_t more = read(STDIN_FILENO, text + size, sizeof text - size - 1);
    if (more <= 0)
        return false;
    size += more;
    text[size] = 0;
    char *begin = text, *end;
    while ((end = strchr(begin, '\n'))) {
        *end = 0;
        obey(begin);
        begin = end + 1;
    }
    size -= begin - text;
    memmove(text, begin, size);
    return true;
}

static void follow_clock(void)
{
    avr_cycle_count_t cycle = avr->cycle;
    int64_t start = clock_ns();
    pid_t parent = getppid();
    fprintf(logged, "C %llu %lld\n", (unsigned long long)cycle, (long long)start);
    for (;;) {
        avr_cycle_count_t due = cycle + (clock_ns() - start) * (FREQUENCY / 1000000) / 1000;
        if (due > avr->cycle + MAX_LAG_CYCLES) { /* the machine stood still: so did the gate */
            cycle = avr->cycle;
            start = clock_ns();
            fprintf(logged, "C %llu %lld\n", (unsigned long long)cycle, (long long)start);
            due = cycle;
        }
        while (avr->cycle < due) {
            run_to(avr->cycle + SLICE_CYCLES < due ? avr->cycle + SLICE_CYCLES : due);
            take_bytes();
        }
        fflush(logged);
        struct pollfd waited[] = {{.fd = pty, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
        if (getppid() != parent)
            return;
        struct timespec slice = {.tv_nsec = 250000};
        ppoll(waited, 2, &slice, NULL);
        if (waited[0].revents)
            take_bytes();
        if (waited[1].revents && !take_commands())
            return;
    }
}

int main(int count, char **arguments)
{
    if (count < 5) {
        fprintf(stderr, "harness IMAGE.hex BOOT SEED scripted|paced [LOG PORT]\n");
        return 2;
    }
    bool paced = !strcmp(arguments[4], "paced") && count > 6;
    logged = paced ? fopen(arguments[5], "w") : stdout;
    if (!logged) {
        perror(arguments[5]);
        return 1;
    }
    random_state = atoi(arguments[3]);
    avr_global_logger_set(quiet);
    avr = avr_make_mcu_by_name("atmega328p");
    avr_init(avr);
    avr->frequency = FREQUENCY;
    avr->log = LOG_ERROR;
    avr->sleep = no_sleep;
    avr->run_cycle_limit = 1;
    core_reset = avr->reset;
    avr->reset = log_reset;
    uint32_t flags = 0;
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
    uart_in = avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_INPUT);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), sent, NULL);
    image_path = arguments[1];
    boot_path = arguments[2];
    load();
    lose_memory();
    reset(1);

    if (paced) {
        port_path = arguments[6];
        open_pty();
        printf("done %llu\n", (unsigned long long)avr->cycle);
        fflush(stdout);
        follow_clock();
        unlink(port_path);
        return 0;
    }
    while (take_commands())
        ;
    return 0;
}
