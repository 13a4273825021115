# Second opinions on what rules mean, over random traces (needs python3).
tap_tests += tests/oracle.tap
check_long_tests += tests/oracle-long.tap
EXTRA_DIST += $(addprefix tests/oracle/, README.md oracle.py compare.py snapshots.py)
