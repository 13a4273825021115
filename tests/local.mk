# Tests that belong to no single stage.
tap_tests += tests/layers.sh tests/golden.tap tests/fuzz.tap tests/cli.tap tests/one-answer.tap tests/readme.tap tests/rules.tap tests/scripts/kill.tap tests/scripts/shellcheck.tap
