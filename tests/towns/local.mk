# The shipped rules on the logs of real towns, where these are at hand (needs python3).
tap_tests += tests/towns.tap
EXTRA_DIST += $(addprefix tests/towns/, README.md towns.py golden.expected hq.expected icecream.expected sampler.expected specwriter.expected)
