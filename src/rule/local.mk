# rule: YAML to an immutable ruleset. What is not in a header above is in loader.h.
tocsin_lib += \
	src/rule/condition.c src/rule/condition.h \
	src/rule/correlation.c \
	src/rule/detection.c \
	src/rule/expr.h \
	src/rule/lint.c \
	src/rule/loader.h \
	src/rule/plan.c \
	src/rule/regex.c src/rule/regex.h \
	src/rule/ruleset.c src/rule/ruleset.h \
	src/rule/site.c \
	src/rule/template.c src/rule/template.h \
	src/rule/value.c src/rule/value.h \
	src/rule/yaml.c src/rule/yaml.h

check_PROGRAMS += test_rule
test_rule_SOURCES = tests/unit/test_rule.c tests/unit/test_rule.h tests/unit/test_rule_golden.c tests/unit/test_rule_template.c
test_rule_LDADD = $(test_libs)
EXTRA_DIST += tests/sigma
