/*
 * confine.h
 *		How a program that a worker starts begins: NAME PARENT MEMORY.
 */
#ifndef MISTRAL_IO_CONFINE_H
#define MISTRAL_IO_CONFINE_H

/*
 * Leaves behind what the program has no business with (descriptors, the
 * directory), bounds its memory to MEMORY kB (0: not at all) and its descriptors
 * to `files` (0: as many as it may have), and has it end when its parent does.
 * Does not return when nobody has started it that way.
 */
extern void confine(int argc, char **argv, long files);

#endif							/* MISTRAL_IO_CONFINE_H */
