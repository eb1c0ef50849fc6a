/*
 * yaml_plain.h
 *		Keeps anchors and aliases from libyaml: to its readers they are plain text.
 */
#ifndef MISTRAL_YAML_PLAIN_H
#define MISTRAL_YAML_PLAIN_H

#include "postgres.h"

#define YAML_NINDICATORS 3

typedef struct YamlHidden
{
	bool		any;
	unsigned char stand_ins[YAML_NINDICATORS][3];
} YamlHidden;

/*
 * The document, in UTF-8, as libyaml is to see it, in the current context or
 * the text itself; NULL when the document holds every character that could
 * stand for another.
 */
extern const char *yaml_hide(YamlHidden *hidden, const char *text, int len, int *hidden_len);

/* A text of libyaml's as the document has it: a copy. */
extern char *yaml_show(const YamlHidden *hidden, const char *text, int len, int *shown_len);

#endif							/* MISTRAL_YAML_PLAIN_H */
