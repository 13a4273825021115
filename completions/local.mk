# Shell completions, for example:
#   bashcompdir = $(datadir)/bash-completion/completions
#   dist_bashcomp_DATA = completions/tocsin.bash
