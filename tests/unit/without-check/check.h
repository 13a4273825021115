/* Stands in where configure found no Check. */
#error "make check needs the library Check (Debian: apt-get install check): install it, then run configure again"
