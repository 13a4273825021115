tocsin_SOURCES += \
	src/main.c \
	src/options.c src/options.h \
	src/pipeline.c src/pipeline.h
