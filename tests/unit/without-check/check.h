/* Stands in where configure found no Check. The second line stops the compiler there. */
#error "make check needs the library Check (Debian: apt-get install check): install it, then run configure again"
#include "check-is-missing"
