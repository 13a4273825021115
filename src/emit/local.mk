# emit: state changes as text, jsonl, shell commands and gt event lines.
tocsin_lib += \
	src/emit/emitter.c src/emit/emitter.h \
	src/emit/formats.h \
	src/emit/json.c src/emit/json.h \
	src/emit/text.c \
	src/emit/jsonl.c \
	src/emit/commands.c \
	src/emit/gt.c

check_PROGRAMS += test_emit
test_emit_SOURCES = tests/unit/test_emit.c tests/unit/emit_random.c tests/unit/emit_random.h
test_emit_LDADD = $(test_libs)

# The C halves of shell-words.tap and schema.tap; no tests themselves.
noinst_PROGRAMS += emit_words show_argv
emit_words_SOURCES = tests/unit/emit_words.c tests/unit/emit_random.c tests/unit/emit_random.h
emit_words_LDADD = $(test_libs)
show_argv_SOURCES = tests/unit/show_argv.c

TESTS += tests/shell-words.tap tests/schema.tap
EXTRA_DIST += tests/shell-words.tap tests/schema.tap schema/incident.schema.json
dist_man_MANS += man/tocsin-incident.5
