tocsin_lib += \
	src/pipeline.c src/pipeline.h

tocsin_SOURCES += \
	src/cli.c src/cli.h \
	src/fields.c src/fields.h \
	src/main.c \
	src/options.c src/options.h \
	src/run.c src/run.h \
	src/verb_check.c \
	src/verb_rules.c \
	src/verb_run.c
