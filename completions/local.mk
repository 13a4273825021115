# For shells that look for them: each asks the program.
bashcompdir = $(datadir)/bash-completion/completions
zshcompdir = $(datadir)/zsh/site-functions
fishcompdir = $(datadir)/fish/vendor_completions.d
dist_zshcomp_DATA = completions/_tocsin
dist_fishcomp_DATA = completions/tocsin.fish
EXTRA_DIST += completions/tocsin.bash
# There the file is named as the command is.
install-data-local:
	$(MKDIR_P) "$(DESTDIR)$(bashcompdir)"
	$(INSTALL_DATA) $(srcdir)/completions/tocsin.bash "$(DESTDIR)$(bashcompdir)/tocsin"
uninstall-local:
	rm -f "$(DESTDIR)$(bashcompdir)/tocsin"
