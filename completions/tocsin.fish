# fish: the program knows its own options.
tocsin completion fish | source
