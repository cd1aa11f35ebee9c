#define _GNU_SOURCE
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <termios.h>
#include <unistd.h>

#include "avr_uart.h"
#include "chip.h"
#include "receiver.h"

enum { BYTE_CYCLES = 160, WIRE = 1 << 16 };

static const char *port_path;
static int pty = -1, pty_slave = -1, opened = -1;
static bool dtr, plugged = true;
static uint16_t wire[WIRE];
static unsigned head, tail;
static bool busy;

static void begin_next(void)
{
    if (plugged && receiver_overruns())
        fprintf(logged, "O %llu\n", (unsigned long long)avr->cycle);
}

static avr_cycle_count_t deliver(avr_t *a, avr_cycle_count_t when, void *parameter)
{
    (void)parameter;
    if (head == tail) {
        busy = false;
        return 0;
    }
    uint16_t value = wire[tail++ % WIRE];
    if (plugged) {
        fprintf(logged, "B %llu %02x %d\n", (unsigned long long)a->cycle, value & 0xFF, value > 0xFF);
        receiver_take(value);
    }
    if (head != tail)
        begin_next();
    return when + BYTE_CYCLES;
}

void wire_enqueue(uint16_t value)
{
    if (head - tail == WIRE) {
        fprintf(stderr, "harness: the wire is full\n");
        exit(1);
    }
    bool idle = head == tail;
    wire[head++ % WIRE] = value;
    if (idle)
        begin_next();
    if (!busy) {
        busy = true;
        avr_cycle_timer_register(avr, BYTE_CYCLES, deliver, NULL);
    }
}

void wire_drop(void)
{
    tail = head;
    busy = false;
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

void wire_start(void)
{
    uint32_t flags = 0;
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
    receiver_start();
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), sent, NULL);
}

void wire_open(const char *path)
{
    char name[64];
    struct termios raw;
    port_path = path;
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

void wire_close(void)
{
    unlink(port_path);
    close(pty);
    close(pty_slave);
    close(opened);
    pty = pty_slave = opened = -1;
}

int wire_descriptor(void) { return pty; }

void wire_plug(bool in)
{
    plugged = in;
    fprintf(logged, "U %llu %d\n", (unsigned long long)avr->cycle, in);
    if (port_path && in && pty < 0)
        wire_open(port_path);
    if (port_path && !in && pty >= 0)
        wire_close();
}

void wire_resets_on_open(bool resets) { dtr = resets; }

void wire_take_bytes(void)
{
    uint8_t bytes[256];
    if (read(opened, bytes, sizeof bytes) > 0 && dtr)
        board_reset(2);
    ssize_t size = read(pty, bytes, sizeof bytes);
    for (ssize_t at = 0; at < size; at++)
        wire_enqueue(bytes[at]);
}
