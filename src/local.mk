tocsin_SOURCES += \
	src/fields.c src/fields.h \
	src/main.c \
	src/options.c src/options.h \
	src/pipeline.c src/pipeline.h \
	src/run.c src/run.h
