# Schedules, kills and faults, and what these tests preload into the program. Built without sanitizers: a library that is loaded first cannot
# bring its own.
preloads += tests/preload/clock.so tests/preload/faults.so
tap_tests += tests/schedules.tap tests/kills.tap
check_long_tests += tests/schedules-long.tap
EXTRA_DIST += tests/Towns.pm tests/schedules.pl tests/kills.pl tests/schedules.yml tests/preload/clock.c tests/preload/faults.c
tests/preload/clock.so tests/preload/faults.so: tests/preload/%.so: tests/preload/%.c
	$(AM_V_CC)$(MKDIR_P) tests/preload && $(CC) -std=gnu11 -D_GNU_SOURCE $(warning_flags) -Wno-missing-prototypes $(CFLAGS) -shared -fPIC -o $@ $< -ldl
