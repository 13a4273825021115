# match: which records are worth parsing, and which detections an event matches.
tocsin_lib += \
	src/match/keys.c src/match/keys.h \
	src/match/literals.c src/match/literals.h \
	src/match/matcher.c src/match/matcher.h \
	src/match/prefilter.c src/match/prefilter.h \
	src/match/wildcard.c src/match/wildcard.h

check_PROGRAMS += test_match
test_match_SOURCES = tests/unit/test_match.c tests/unit/match_rules.h
test_match_LDADD = $(test_libs)
