tocsin_lib += \
	src/checkpoint.c src/checkpoint.h \
	src/pipeline.c src/pipeline.h

tocsin_SOURCES += \
	src/cli.c src/cli.h \
	src/diff.c src/diff.h \
	src/explain.c src/explain.h src/explain_text.c src/explain_jsonl.c \
	src/fields.c src/fields.h \
	src/main.c \
	src/options.c src/options.h \
	src/run.c src/run.h \
	src/test_compare.c src/test_compare.h \
	src/test_concern.c src/test_concern.h \
	src/test_run.c src/test_run.h \
	src/verb_check.c \
	src/verb_checkpoint.c \
	src/verb_diff.c \
	src/verb_explain.c \
	src/verb_fields.c \
	src/verb_rules.c \
	src/verb_run.c \
	src/verb_test.c

# In the library, for its fuzz target.
tocsin_lib += src/test_file.c src/test_file.h src/test_input.c src/test_parse.h

check_PROGRAMS += test_pipeline
test_pipeline_SOURCES = tests/unit/test_pipeline.c
test_pipeline_LDADD = $(test_libs)
