/* The board: the chip with its image and boot loader, its switches, its light, and the photodiode that sees it. */
#ifndef CHIP_H
#define CHIP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "sim_avr.h"

extern avr_t *avr;
extern FILE *logged; /* see harness.c */

/* What the photodiode does: nothing is wired (the pin is pulled up), it follows the light, or it does not. */
enum photodiode { PHOTODIODE_ABSENT, PHOTODIODE_FOLLOWS, PHOTODIODE_DARK, PHOTODIODE_LIT, PHOTODIODE_MODES };

int64_t clock_ns(void);

/* The chip without power; `board_power_on` is next. `boot` is a boot loader's image, or NULL. */
void board_make(const char *image, const char *boot, uint32_t seed);

/* Memory is lost first. */
void board_power_on(uint8_t mcusr);
void board_reset(uint8_t mcusr);
void board_run_to(avr_cycle_count_t target);

/* A jump to itself in place of the instruction that comes next, until the next reset. */
void board_hang(bool without_interrupts);

/* The program goes on at its start, without a reset. */
void board_stray(void);

void board_stop_switch(bool open);
void board_arm_switch(bool on);
void board_button(bool pressed);
void board_photodiode(enum photodiode mode, unsigned rise_cycles, unsigned fall_cycles);

void board_write_eeprom(unsigned address, const char *hex);
void board_print_eeprom(void);

#endif
