# record: framing, formats, events.
tocsin_lib += \
	src/record/agent.c src/record/agent.h \
	src/record/ansi.c src/record/ansi.h \
	src/record/decoder.c src/record/decoder.h \
	src/record/event.c src/record/event.h \
	src/record/field.c src/record/field.h \
	src/record/format.h \
	src/record/format_daemon.c \
	src/record/format_events.c \
	src/record/format_json.c src/record/json_event.h \
	src/record/format_ps.c \
	src/record/format_text.c \
	src/record/format_town.c \
	src/record/head.c src/record/head.h \
	src/record/json.c src/record/json.h \
	src/record/literal.c src/record/literal.h \
	src/record/pattern.c src/record/pattern.h \
	src/record/ps.h src/record/ps_line.c src/record/ps_process.c src/record/ps_row.c \
	src/record/shape.c src/record/shape.h \
	src/record/source.c src/record/source.h \
	src/record/stamp.c src/record/stamp.h \
	src/record/text_facts.c src/record/text_facts.h

check_PROGRAMS += test_record
test_record_SOURCES = tests/unit/test_record.c tests/unit/test_record.h tests/unit/test_record_ps.c
test_record_LDADD = $(test_libs)
