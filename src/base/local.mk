# base: what every stage may use. It includes nothing above it.
tocsin_lib += \
	src/base/arena.c src/base/arena.h \
	src/base/block.c src/base/block.h \
	src/base/buffer.c src/base/buffer.h \
	src/base/codec.c src/base/codec.h \
	src/base/cpu.c src/base/cpu.h \
	src/base/diag.c src/base/diag.h \
	src/base/disk.c src/base/disk.h \
	src/base/find.h \
	src/base/map.c src/base/map.h \
	src/base/memory.c src/base/memory.h \
	src/base/quote.c src/base/quote.h \
	src/base/slab.c src/base/slab.h \
	src/base/span.h \
	src/base/timestamp.c src/base/timestamp.h \
	src/base/utf8.h \
	src/base/workers.c src/base/workers.h \
	src/base/zone.c

check_PROGRAMS += test_base
test_base_SOURCES = tests/unit/test_base.c
test_base_LDADD = $(test_libs)

check_PROGRAMS += test_time
test_time_SOURCES = tests/unit/test_time.c
test_time_LDADD = $(test_libs)
