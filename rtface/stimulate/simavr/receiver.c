#include "receiver.h"

#include <string.h>

#include "avr_uart.h"
#include "chip.h"

enum { BUFFERED = 2, SIMAVR_BITS = 11, BITS = 10 };

DEFINE_FIFO(uint16_t, uart_fifo);

static avr_uart_t *uart;

/* simavr counts a parity bit that no frame has. */
static void correct_byte_time(avr_t *a, avr_io_addr_t at, uint8_t value, void *parameter)
{
    (void)a;
    (void)at;
    (void)value;
    (void)parameter;
    uart->cycles_per_byte = uart->cycles_per_byte / SIMAVR_BITS * BITS;
}

void receiver_start(void)
{
    avr_io_t *io = avr->io_port;
    while (strcmp(io->kind, "uart"))
        io = io->next;
    uart = (avr_uart_t *)io;
    avr_register_io_write(avr, uart->ubrrl.reg, correct_byte_time, NULL);
}

void receiver_take(uint16_t value)
{
    if (avr_regbit_get(avr, uart->rxen))
        uart_fifo_write(&uart->input, value);
    receiver_run();
}

bool receiver_overruns(void)
{
    if (uart_fifo_get_read_size(&uart->input) <= BUFFERED)
        return false;
    uart_fifo_write_offset(&uart->input, -1);
    avr_regbit_set(avr, uart->dor);
    return true;
}

/* A count of what was read since RXC rose, by which simavr slows reading down, is kept at none. */
void receiver_run(void)
{
    if (uart_fifo_isempty(&uart->input) || (uart->rxc.pending && avr_regbit_get(avr, uart->rxc.raised)))
        return;
    uart->rx_cnt = 0;
    avr_raise_interrupt(avr, &uart->rxc);
}
