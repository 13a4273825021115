# record: see doc/architecture.md for its place.
tocsin_lib += \
	src/record/agent.h \
	src/record/decoder.h \
	src/record/event.h \
	src/record/field.h \
	src/record/format.h \
	src/record/source.h
