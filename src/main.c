/*
 * main.c: for now only says which version it is.
 */
#include <stdio.h>

int main(void)
{
	return puts(PACKAGE_STRING) < 0 ? 2 : 0;
}
