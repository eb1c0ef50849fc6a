/*
 * yaml_scalar.h
 *		What a plain YAML 1.1 scalar means, by the rules of PyYAML's SafeLoader,
 *		and what is asked of a text before libyaml reads it.
 */
#ifndef MISTRAL_YAML_SCALAR_H
#define MISTRAL_YAML_SCALAR_H

#include "postgres.h"

typedef enum YamlScalarKind
{
	YAML_SCALAR_STR,
	YAML_SCALAR_NULL,
	YAML_SCALAR_BOOL,
	YAML_SCALAR_INT,			/* fits in 64 bits */
	YAML_SCALAR_BIGINT,			/* decimal digits with a sign */
	YAML_SCALAR_FLOAT,			/* may be infinite or NaN */
	YAML_SCALAR_DATE,			/* year, month, day */
	YAML_SCALAR_TIMESTAMP,		/* and a time of day */
	YAML_SCALAR_MERGE,			/* << */
	YAML_SCALAR_DEFAULT,		/* = ; SafeLoader refuses it as a value */
	YAML_SCALAR_INDICATOR		/* & or * with nothing behind it; SafeLoader refuses it */
} YamlScalarKind;

typedef struct YamlScalar
{
	YamlScalarKind kind;
	bool		boolean;
	int64		integer;
	double		real;
	char	   *digits;			/* of a BIGINT, palloc'd */
	int			year;
	int			month;
	int			day;
	int			hour;
	int			minute;
	int			second;
	int			microsecond;
	bool		has_zone;
	int			zone_seconds;	/* east of Greenwich */
} YamlScalar;

/*
 * Resolves the text of a plain (unquoted) scalar.  The ranges of dates are not
 * checked here.  Only YAML_SCALAR_BIGINT allocates, in the current context.
 */
extern void yaml_scalar_resolve(const char *text, int len, YamlScalar *out);

/* Lines of a document that may be directives; libyaml compares each with all others. */
#define YAML_MAX_DIRECTIVES 1000

/* Whether a document in UTF-8 has more of them: to be asked before libyaml reads it. */
extern bool yaml_has_many_directives(const char *text, int len);

#endif							/* MISTRAL_YAML_SCALAR_H */
