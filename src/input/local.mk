# input: see doc/architecture.md for its place.
tocsin_lib += \
	src/input/reader.h \
	src/input/stream.h
