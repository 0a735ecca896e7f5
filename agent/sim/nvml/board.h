// The file beside the state file, shared by everybody: a bell that says the state has changed, and what has been counted.
// agent/sim/board.py reads and writes the same layout.
#ifndef ANFL_SIM_BOARD_H
#define ANFL_SIM_BOARD_H

#include "nvml.h"

enum { BOARD_CALLS = 256, BOARD_FAULTS = 64 };
#define BOARD_MAGIC 0x314D4953474C4641ull

struct board {
    u64 magic, generation, calls;
    u64 call[BOARD_CALLS];
    struct {
        u64 key, hits;
    } fault[BOARD_FAULTS];
};

#endif
