# rule: see doc/architecture.md for its place.
tocsin_lib += \
	src/rule/expr.h \
	src/rule/ruleset.h \
	src/rule/template.h
