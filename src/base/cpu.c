/* cpu.c: see cpu.h. */
#include "base/cpu.h"

enum cpu_level cpu_limit = CPU_AVX512;
