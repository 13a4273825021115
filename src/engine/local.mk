tocsin_lib += \
	src/engine/clause.c src/engine/clause.h \
	src/engine/correlate.c \
	src/engine/engine.c src/engine/engine.h \
	src/engine/incident.c src/engine/incident.h \
	src/engine/kept.c src/engine/kept.h \
	src/engine/near.c src/engine/near.h \
	src/engine/order.c src/engine/order.h src/engine/places.h \
	src/engine/save.c \
	src/engine/sorted.c src/engine/sorted.h \
	src/engine/state.h \
	src/engine/strings.c src/engine/strings.h \
	src/engine/table.c \
	src/engine/tally.c src/engine/tally.h \
	src/engine/trace.c src/engine/trace.h \
	src/engine/window.c

check_PROGRAMS += test_engine
test_engine_SOURCES = tests/unit/test_engine.c
test_engine_LDADD = $(test_libs)
