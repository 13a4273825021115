# emit: state changes as text, jsonl, shell commands and gt event lines.
tocsin_lib += \
	src/emit/emitter.c src/emit/emitter.h \
	src/emit/formats.h \
	src/emit/json_writer.c src/emit/json_writer.h \
	src/emit/text.c \
	src/emit/jsonl.c \
	src/emit/commands.c \
	src/emit/gt.c \
	src/emit/output.c src/emit/output.h

check_PROGRAMS += test_emit
test_emit_SOURCES = tests/unit/test_emit.c tests/unit/emit_random.c tests/unit/emit_random.h
test_emit_LDADD = $(test_libs)

# The C halves of shell-words.tap and schema.tap.
check_helpers += emit_words show_argv
emit_words_SOURCES = tests/unit/emit_words.c tests/unit/emit_random.c tests/unit/emit_random.h
emit_words_LDADD = $(tocsin_libs)
show_argv_SOURCES = tests/unit/show_argv.c

tap_tests += tests/shell-words.tap tests/schema.tap
dist_man_MANS += man/tocsin-incident.5
