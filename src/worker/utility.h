/*
 * utility.h
 *		Commands that workers must make way for, or hear of.
 */
#ifndef MISTRAL_UTILITY_H
#define MISTRAL_UTILITY_H

/* From _PG_init while libraries are preloaded: installs the hooks. */
extern void utility_install(void);

#endif							/* MISTRAL_UTILITY_H */
