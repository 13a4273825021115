/* cpu.c: see cpu.h. */
#include "base/cpu.h"

enum cpu_level cpu_limit = CPU_LEVELS - 1;
