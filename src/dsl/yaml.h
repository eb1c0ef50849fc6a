/*
 * yaml.h
 *		A YAML document as a tree that remembers where everything stood.
 *
 * The dialect is the one Mistral reads: YAML 1.1 as PyYAML's SafeLoader
 * resolves it, except that `&x`, `*x` and `@x` are plain text (no anchors, no
 * aliases).  Later keys win over earlier equal ones, in the earlier's place.
 */
#ifndef MISTRAL_YAML_H
#define MISTRAL_YAML_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

/* Limits on what one document may hold, beside mistral.max_definition_size. */
#define YAML_MAX_DEPTH 200
#define YAML_MAX_NODES 2000000

typedef enum YamlKind
{
	YAML_NULL,
	YAML_BOOL,
	YAML_INT,
	YAML_BIGINT,				/* digits in text */
	YAML_FLOAT,
	YAML_TIME,					/* a date or a time: text as stored in JSON */
	YAML_STRING,
	YAML_LIST,
	YAML_DICT
} YamlKind;

typedef enum YamlStyle
{
	YAML_STYLE_PLAIN,
	YAML_STYLE_QUOTED,
	YAML_STYLE_LITERAL,			/* | */
	YAML_STYLE_FOLDED,			/* > */
	YAML_STYLE_BLOCK,			/* list or dict by indentation */
	YAML_STYLE_FLOW				/* list or dict in brackets */
} YamlStyle;

typedef struct YamlNode YamlNode;

struct YamlNode
{
	YamlKind	kind;
	YamlStyle	style;
	int			line;			/* from 1 */
	int			col;			/* from 1, in characters */
	int			end_line;		/* where its last token ends (exclusive) */
	int			end_col;
	/* scalars */
	char	   *text;			/* value of a string; as written (or in JSON, YAML_TIME) for others */
	int			len;
	bool		boolean;
	int64		integer;
	double		real;
	/* lists: items; dicts: keys and items side by side */
	int			nitems;
	int			allocated;
	YamlNode  **keys;
	YamlNode  **items;
	/* a text that is part of a scalar: of which, and from which byte on */
	const YamlNode *whole;		/* NULL: it stands for itself */
	int			start;
	const YamlNode *again;		/* of a key that is given twice: the last one, whose value counts */
};

/* What made a document unreadable. */
typedef struct YamlError
{
	int			line;			/* 0: no error */
	int			col;
	char	   *message;
	char	   *hint;			/* or NULL */
} YamlError;

/*
 * Reads one document (an empty one gives NULL without an error).  The tree
 * lives in the current memory context; error texts too.  Raises only
 * cancellation and lack of memory.
 */
extern YamlNode *yaml_read(const char *text, int len, YamlError *error);

/* The value of a text key, or NULL; `key_node` (may be NULL) receives the key. */
extern YamlNode *yaml_get(const YamlNode *dict, const char *key, YamlNode **key_node);

/* Whether a string node is exactly this text. */
extern bool yaml_is(const YamlNode *node, const char *text);

/* Equality as JSON schema sees it: by value, 1 equals 1.0, true does not equal 1. */
extern bool yaml_equal(const YamlNode *a, const YamlNode *b);

/* A hash that equal nodes share. */
extern uint32 yaml_hash(const YamlNode *node);

/* Python's truth of a value. */
extern bool yaml_truth(const YamlNode *node);

/* A node made by hand, placed where `at` stands. */
extern YamlNode *yaml_make(YamlKind kind, const YamlNode *at);
extern YamlNode *yaml_make_string(const char *text, int len, const YamlNode *at);

/* A part of a scalar's text, which knows where it stands. */
extern YamlNode *yaml_make_part(const YamlNode *whole, int start, int len);
extern void yaml_append(YamlNode *container, YamlNode *key, YamlNode *item);

/* Sets a key of a dict, in place of an equal one or at the end. */
extern void yaml_set(YamlNode *dict, YamlNode *key, YamlNode *item);

/* A copy of a dict or list that shares its items, so that it can be changed. */
extern YamlNode *yaml_shallow_copy(const YamlNode *node);

/*
 * The value as jsonb; keys that are no text are spelled as Python's JSON
 * writer spells them.  Raises what jsonb cannot hold, which yaml_read already
 * refused for everything that it read.
 */
extern Jsonb *yaml_to_jsonb(const YamlNode *node);

/* Writes the node as one line of YAML that reads back equal (JSON as far as it goes). */
extern void yaml_write(StringInfo out, const YamlNode *node);

/* The node in a few words for messages: null, a number, the string "..." */
extern char *yaml_describe(const YamlNode *node);

/*
 * Reads a JSON text as Python's json.loads does; NULL when it is none.  The
 * nodes all stand where `at` stands.
 */
extern YamlNode *json_read(const char *text, int len, const YamlNode *at);

/* A text and where its lines start, as the reader counts them. */
typedef struct YamlSource
{
	const char *text;			/* UTF-8 */
	int			len;
	int			nlines;
	int		   *starts;			/* byte offsets */
} YamlSource;

extern YamlSource *yaml_source(const char *text, int len);

/*
 * The text of a dict's entry as its author wrote it, brought to the left
 * margin, or written anew when it cannot be cut out.  It reads back equal.
 */
extern char *yaml_cut_entry(const YamlSource *source, const YamlNode *key, const YamlNode *item);

/*
 * Line and column of a byte of a scalar's value; those of the scalar where the
 * document writes the value in another way.
 */
extern void yaml_locate(const YamlSource *source, const YamlNode *scalar, int offset, int *line, int *col);

#endif							/* MISTRAL_YAML_H */
