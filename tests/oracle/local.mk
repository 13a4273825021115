# Second opinions on what rules mean, over random traces (these need python3, or SEC).
tap_tests += tests/oracle.tap tests/sec.tap
check_long_tests += tests/oracle-long.tap tests/sec-long.tap
EXTRA_DIST += $(addprefix tests/oracle/, README.md oracle.py compare.py snapshots.py sec.pl SecClock.pm)
