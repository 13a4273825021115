# Tests that belong to no single stage.
tap_tests += tests/layers.sh tests/golden.tap tests/fuzz.tap tests/cli.tap tests/one-answer.tap tests/threads.tap tests/instructions.tap tests/readme.tap tests/rules.tap tests/test.tap tests/scripts/kill.tap tests/scripts/shellcheck.tap
check_helpers += trace-same
trace_same_SOURCES = tests/trace-same.c src/run.c
trace_same_LDADD = $(tocsin_libs)
tap_tests += tests/catalogue.tap tests/explain.tap tests/manual.tap
tap_tests += tests/sigma.tap
tap_tests += tests/follow.tap tests/logrotate.tap tests/contrib.tap tests/clock.tap tests/faults.tap
EXTRA_DIST += tests/following.sh
tap_tests += tests/checkpoint.tap
tap_tests += tests/diff.tap
tap_tests += tests/fields.tap
