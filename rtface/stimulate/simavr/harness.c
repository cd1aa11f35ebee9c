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
 * an Uno) | stray (the program goes on at its start, no reset) | photodiode MODE RISE FALL (in cycles; MODE 0 absent,
 * 1 follows the light, 2 stays dark, 3 stays lit) | poke ADDRESS VALUE | eeprom ADDRESS HEX | dump (the EEPROM) | peek ADDRESS. Each is answered by "done CYCLE".
 *
 * Log:  L CYCLE TTL AMPLITUDE NANOSECONDS | T CYCLE HH (byte sent) | B CYCLE HH 0/1 (byte delivered; 1 = garbled) |
 * O CYCLE (a byte that was delivered is lost by overrun) | R CYCLE (reset) | P CYCLE (power lost) | H CYCLE (hang) | I CYCLE STOP ARM BUTTON (the switches) | U CYCLE 0/1 (the cable) |
 * D CYCLE 0/1 (the photodiode's pin; 1 = light, or none wired) | C CYCLE NANOSECONDS (cycle and clock from here on). Bytes travel at 1 Mbaud.
 * NANOSECONDS are the monotonic clock's when the emulation came to the cycle, so never earlier than on a board.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "avr_uart.h"
#include "chip.h"
#include "wire.h"

enum { FREQUENCY = 16000000, SLICE_CYCLES = FREQUENCY / 4000, MAX_LAG_CYCLES = FREQUENCY / 200 };

/* Time is paced here, or by the script. */
static void no_sleep(avr_t *a, avr_cycle_count_t cycles)
{
    (void)a;
    (void)cycles;
}

static void obey(char *line)
{
    unsigned long long number;
    unsigned a, b, c;
    char *hex = strrchr(line, ' ');
    hex = hex ? hex + 1 : line;
    if (sscanf(line, "run %llu", &number) == 1)
        board_run_to(avr->cycle + number);
    else if (!strncmp(line, "send ", 5))
        for (; sscanf(hex, "%2x", &a) == 1; hex += 2)
            wire_enqueue(a);
    else if (sscanf(line, "garble %x", &a) == 1)
        wire_enqueue(a | UART_INPUT_FE);
    else if (sscanf(line, "stop %u", &a) == 1)
        board_stop_switch(a);
    else if (sscanf(line, "arm %u", &a) == 1)
        board_arm_switch(a);
    else if (sscanf(line, "button %u", &a) == 1)
        board_button(a);
    else if (sscanf(line, "cable %u", &a) == 1)
        wire_plug(a);
    else if (sscanf(line, "reset %u", &a) == 1)
        board_reset(a);
    else if (sscanf(line, "power %u", &a) == 1)
        board_power_on(a);
    else if (sscanf(line, "hang %u", &a) == 1)
        board_hang(a);
    else if (!strncmp(line, "stray", 5))
        board_stray();
    else if (sscanf(line, "dtr %u", &a) == 1)
        wire_resets_on_open(a);
    else if (sscanf(line, "photodiode %u %u %u", &a, &b, &c) == 3 && a < PHOTODIODE_MODES)
        board_photodiode(a, b, c);
    else if (sscanf(line, "peek %u", &a) == 1)
        printf("M %02x\n", avr->data[a]);
    else if (sscanf(line, "poke %u %u", &a, &b) == 2)
        avr_core_watch_write(avr, a, b);
    else if (sscanf(line, "eeprom %u", &a) == 1)
        board_write_eeprom(a, hex);
    else if (!strncmp(line, "dump", 4))
        board_print_eeprom();
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
            board_run_to(avr->cycle + SLICE_CYCLES < due ? avr->cycle + SLICE_CYCLES : due);
            wire_take_bytes();
        }
        fflush(logged);
        struct pollfd waited[] = {{.fd = wire_descriptor(), .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
        if (getppid() != parent)
            return;
        struct timespec slice = {.tv_nsec = 250000};
        ppoll(waited, 2, &slice, NULL);
        if (waited[0].revents)
            wire_take_bytes();
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
    board_make(arguments[1], strcmp(arguments[2], "-") ? arguments[2] : NULL, atoi(arguments[3]));
    avr->frequency = FREQUENCY;
    avr->sleep = no_sleep;
    wire_start();
    board_power_on(1);

    if (paced) {
        wire_open(arguments[6]);
        printf("done %llu\n", (unsigned long long)avr->cycle);
        fflush(stdout);
        follow_clock();
        wire_close();
        return 0;
    }
    while (take_commands())
        ;
    return 0;
}
