# Man pages: dist_man_MANS += man/NAME.SECTION
dist_man_MANS += man/tocsin.1 man/tocsin-catalogue.7 man/tocsin-explain.1 man/tocsin-rules.5 man/tocsin-tutorial.7 man/tocsin-test.5
