/*
 * cpu.h: which vector instructions may be used. What runs on this machine decides; tests take some away, so that each way of doing a thing is tried
 * on one machine. Not to be changed while other threads run.
 */
#ifndef TOCSIN_BASE_CPU_H
#define TOCSIN_BASE_CPU_H

#include <stdbool.h>

enum cpu_level {
	CPU_PLAIN,  /* what every machine of this kind has */
	CPU_AVX2,   /* and BMI, POPCNT */
	CPU_AVX512, /* and BW, VBMI */
	CPU_GATHER, /* and gathers that cost little more than the loads they stand for: where there is FP16, too. Before it (and by AMD) they are slow */
	CPU_LEVELS
};

extern enum cpu_level cpu_limit; /* no more than this is used; all at first */

static inline bool cpu_has(enum cpu_level level)
{
	if (level > cpu_limit)
		return false;
#if defined(__x86_64__) && defined(__GNUC__)
	if (level >= CPU_AVX2 && !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt")))
		return false;
	if (level >= CPU_AVX512 && !(__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi")))
		return false;
#if __GNUC__ >= 12 || __clang_major__ >= 17
	return level < CPU_GATHER || __builtin_cpu_supports("avx512fp16");
#else
	return level < CPU_GATHER;
#endif
#else
	return level == CPU_PLAIN;
#endif
}

#endif
