# input: which files, and the bytes in them. Includes base only.
tocsin_lib += \
	src/input/ahead.c src/input/ahead.h \
	src/input/frames.c src/input/frames.h \
	src/input/gunzip.c src/input/gunzip.h \
	src/input/headers.c src/input/headers.h \
	src/input/reader.c src/input/reader.h \
	src/input/stream.c src/input/stream.h \
	src/input/tail.c src/input/tail.h \
	src/input/unpack.c src/input/unpack.h \
	src/input/watch.c src/input/watch.h

check_PROGRAMS += test_input
test_input_SOURCES = tests/unit/test_input.c tests/unit/test_input_stream.c tests/unit/test_input_tail.c tests/unit/test_input.h
test_input_LDADD = $(test_libs)
