/*
 * What matters here of the boot loader of every Uno and Nano (optiboot): each reset begins in it, it clears MCUSR, so the
 * program never learns the cause, and it jumps to the program. At 0x7E00, as the fuses of a Uno have it.
 */
#include <avr/io.h>

__attribute__((naked, used, section(".init9"))) void boot(void)
{
    __asm__ volatile("clr r1");
    MCUSR = 0;
    WDTCSR = _BV(WDCE) | _BV(WDE);
    WDTCSR = 0;
    __asm__ volatile("jmp 0");
}
