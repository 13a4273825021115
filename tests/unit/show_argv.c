/*
 * show_argv.c: stands in for the programs that commands would run. Prints its arguments, from argv[0] on, in hexadecimal
 * with a blank between: one line a run, whatever bytes they hold. The empty word is "-".
 */
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (i > 0)
			putchar(' ');
		if (!*argv[i])
			putchar('-');
		for (const char *p = argv[i]; *p; p++)
			printf("%02x", (unsigned char)*p);
	}
	putchar('\n');
	return fflush(stdout) ? 1 : 0;
}
