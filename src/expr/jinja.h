/*
 * jinja.h
 *		Jinja2: syntax tree, evaluation, calls.
 */
#ifndef MISTRAL_JINJA_H
#define MISTRAL_JINJA_H

#include "postgres.h"

#include "expr/value_internal.h"

/* A string that is safe HTML already: escaping leaves it alone. */
#define VALUE_F_MARKUP VALUE_F_SAFE_TEXT
/* A list of two that groupby gave: it has the attributes grouper and list. */
#define VALUE_F_GROUP 0x40
/* An undefined value: any use of it fails; u.object is a message, not a name; an argument that is not there. */
#define VALUE_F_STRICT VALUE_F_FAILS
#define VALUE_F_MESSAGE 0x40
#define VALUE_F_ABSENT 0x80

/* The longest range() of the sandbox. */
#define JINJA_MAX_RANGE 100000

typedef enum JinjaNodeType
{
	/* expressions */
	JINJA_CONST,
	JINJA_NAME,
	JINJA_LIST,
	JINJA_TUPLE,
	JINJA_DICT,					/* items: key, value, key, value, ... */
	JINJA_GETATTR,
	JINJA_GETITEM,
	JINJA_SLICE,				/* items: start, stop, step, NULL where absent */
	JINJA_CALL,
	JINJA_FILTER,
	JINJA_TEST,
	JINJA_BINARY,
	JINJA_UNARY,
	JINJA_NOT,
	JINJA_AND,
	JINJA_OR,
	JINJA_CONCAT,
	JINJA_COMPARE,				/* left, then ops over items */
	JINJA_COND,					/* left if test else right */
	/* statements */
	JINJA_DATA,
	JINJA_OUTPUT,
	JINJA_BODY,
	JINJA_IF,
	JINJA_FOR,
	JINJA_SET,
	JINJA_SET_BLOCK,
	JINJA_MACRO,
	JINJA_CALL_BLOCK,
	JINJA_FILTER_BLOCK,
	JINJA_WITH,
	JINJA_AUTOESCAPE,
	JINJA_BLOCK,
	JINJA_NO_LOADER,			/* include, import, from, extends */
	JINJA_NAMESPACE_TARGET		/* name.attribute, left of a set's = */
} JinjaNodeType;

typedef enum JinjaOp
{
	JINJA_ADD,
	JINJA_SUB,
	JINJA_MUL,
	JINJA_DIV,
	JINJA_FLOORDIV,
	JINJA_MOD,
	JINJA_POW,
	JINJA_EQ,
	JINJA_NE,
	JINJA_LT,
	JINJA_LE,
	JINJA_GT,
	JINJA_GE,
	JINJA_IN,
	JINJA_NOT_IN
} JinjaOp;

typedef struct JinjaNode JinjaNode;
typedef struct JinjaCall JinjaCall;
typedef struct Jinja Jinja;
typedef struct JinjaFunction JinjaFunction;

/* The arguments as they are written. */
typedef struct JinjaArgs
{
	int			n;
	JinjaNode **items;
	int			nkeywords;
	char	  **names;
	JinjaNode **values;
	JinjaNode  *more;			/* *args */
	JinjaNode  *more_keywords;	/* **kwargs */
} JinjaArgs;

/* What a macro or a call block has besides its body. */
typedef struct JinjaSignature
{
	int			n;
	char	  **names;
	int			ndefaults;		/* of the last parameters */
	JinjaNode **defaults;
	bool		uses_varargs;
	bool		uses_kwargs;
	bool		uses_caller;
	bool		explicit_caller;
} JinjaSignature;

struct JinjaNode
{
	JinjaNodeType type;
	JinjaOp		op;
	int			position;		/* byte offset in the text */
	bool		flag;			/* recursive loop, scoped block */
	bool		required;		/* a block that another template must fill */
	bool		is_method;		/* the attribute is one of Python's dicts */
	char	   *name;			/* of names, attributes, filters, tests, macros, blocks */
	Value		value;			/* constant, template data, name as a value */
	const JinjaFunction *function;	/* of a filter or test, NULL when there is none */
	int			n;
	JinjaNode **items;
	JinjaOp    *ops;			/* of comparisons */
	JinjaArgs  *args;
	JinjaSignature *signature;
	JinjaNode  *left;			/* operand, object, iterable, target ... */
	JinjaNode  *right;
	JinjaNode  *test;
	JinjaNode  *body;
	JinjaNode  *other;			/* else */
};

typedef struct JinjaTemplate
{
	const char *text;			/* with the line ends that positions count in */
	int			len;
	bool		native;			/* one expression whose value keeps its type */
	bool		closes;			/* macros may keep the variables of a loop */
	bool		mutates;		/* may call a method that changes what it is called on */
	JinjaNode  *root;
	int			nblocks;
	JinjaNode **blocks;
	const char *refused;		/* why it cannot run, though it parses */
	int			refused_position;
	const char *unknown;		/* the first filter or test that does not exist and is certain to fail */
	int			unknown_position;
	const char *unknown_kind;
} JinjaTemplate;

typedef struct JinjaVariable
{
	struct JinjaVariable *next;
	const char *name;
	Value		value;
} JinjaVariable;

typedef struct JinjaScope
{
	struct JinjaScope *parent;
	JinjaVariable *variables;
} JinjaScope;

struct Jinja
{
	Eval		ev;				/* first: eval_current() gives it */
	const JinjaTemplate *template;
	JinjaScope *root;
	Value		context;		/* _ */
	StringInfo	out;
	bool		autoescape;
};

/*
 * A call on its way: positional and keyword arguments as given; after
 * jinja_bind() `args` has a place for each parameter, the rest follows.
 */
struct JinjaCall
{
	Jinja	   *j;
	const char *name;			/* for messages */
	const JinjaFunction *function;
	Value		self;			/* receiver of a method */
	int			nargs;
	Value	   *args;
	int			nrest;			/* positional arguments beyond the parameters */
	Value	   *rest;
	int			nkeywords;
	const char **names;
	Value	   *values;
};

typedef Value (*JinjaImplementation) (JinjaCall *call);

/*
 * signature: parameters by name, "name=" optional, "/name" by position only,
 * "!name" by name only, "*" takes more arguments, "**" more keywords.
 */
struct JinjaFunction
{
	const char *name;
	JinjaImplementation implementation;
	const char *signature;
	uint32		types;			/* of methods: whose they are */
};

#define JINJA_TYPE_STRING 0x01
#define JINJA_TYPE_LIST 0x02
#define JINJA_TYPE_TUPLE 0x04
#define JINJA_TYPE_DICT 0x08
#define JINJA_TYPE_INT 0x10
#define JINJA_TYPE_FLOAT 0x20
#define JINJA_TYPE_SET 0x40
#define JINJA_TYPE_RANGE 0x80
#define JINJA_TYPE_CYCLER 0x100
#define JINJA_TYPE_LOOP 0x200
#define JINJA_TYPE_NUMBER (JINJA_TYPE_INT | JINJA_TYPE_FLOAT)
#define JINJA_TYPE_SEQUENCE (JINJA_TYPE_LIST | JINJA_TYPE_TUPLE)

/* Everything that is VALUE_CALLABLE. */
typedef enum JinjaObjectType
{
	JINJA_OBJECT_FUNCTION,		/* with a receiver: a bound method */
	JINJA_OBJECT_MACRO,
	JINJA_OBJECT_RANGE,
	JINJA_OBJECT_CYCLER,
	JINJA_OBJECT_JOINER,
	JINJA_OBJECT_NAMESPACE,
	JINJA_OBJECT_LOOP,
	JINJA_OBJECT_SELF,
	JINJA_OBJECT_BLOCK
} JinjaObjectType;

typedef struct JinjaObject
{
	CallableObject base;
	JinjaObjectType type;
} JinjaObject;

typedef struct JinjaBound
{
	JinjaObject base;
	const JinjaFunction *function;
	bool		has_self;
	Value		self;
} JinjaBound;

typedef struct JinjaMacro
{
	JinjaObject base;
	const JinjaNode *node;		/* macro, call block */
	const JinjaSignature *signature;
	JinjaScope *scope;			/* where it was defined */
} JinjaMacro;

typedef struct JinjaRange
{
	JinjaObject base;
	int64		start;
	int64		stop;
	int64		step;
	int64		length;
} JinjaRange;

typedef struct JinjaCycler
{
	JinjaObject base;
	Value		items;
	int			at;
} JinjaCycler;

typedef struct JinjaJoiner
{
	JinjaObject base;
	Value		separator;
	bool		used;
} JinjaJoiner;

typedef struct JinjaNamespace
{
	JinjaObject base;
	Value		attributes;		/* dict */
} JinjaNamespace;

typedef struct JinjaLoop
{
	JinjaObject base;
	const JinjaNode *node;
	JinjaScope *scope;			/* outside the loop */
	Value		iterable;
	Iterator   *it;
	int64		index0;
	int64		length;			/* -1 until it is asked for */
	int			depth0;
	bool		has_after;
	bool		ended;
	Value		after;
	Value		current;
	Value		before;
	bool		has_changed;
	Value		changed;
} JinjaLoop;

typedef struct JinjaBlockRef
{
	JinjaObject base;
	const JinjaNode *block;
} JinjaBlockRef;

/* jinja_parse.c: NULL and *error when it does not parse; native: a bare expression. */
extern JinjaTemplate *jinja_parse(const char *text, int len, bool native, ExprError *error);

/* jinja_eval.c */
extern Value jinja_run(const JinjaTemplate *t, const ExprEnv *env);
extern Value jinja_eval(Jinja *j, const JinjaNode *node, JinjaScope *scope);
extern JinjaScope *jinja_scope(JinjaScope *parent);
extern void jinja_set(JinjaScope *scope, const char *name, Value value);
extern void jinja_call_args(Jinja *j, const JinjaArgs *args, JinjaScope *scope, JinjaCall *call);

/* jinja_exec.c */
extern void jinja_execute(Jinja *j, const JinjaNode *node, JinjaScope *scope);
extern void jinja_assign(Jinja *j, const JinjaNode *target, Value value, JinjaScope *scope);
extern Value jinja_capture(Jinja *j, const JinjaNode *body, JinjaScope *scope);
extern Value jinja_run_loop(Jinja *j, JinjaLoop *outer, Value iterable);
extern Value jinja_call_macro(Jinja *j, JinjaMacro *macro, JinjaCall *call);
extern Value jinja_call_block_ref(Jinja *j, const JinjaNode *block);
extern void jinja_output(Jinja *j, const Value *value);

/* jinja_call.c */
extern void jinja_bind(JinjaCall *call);
extern Value jinja_invoke(JinjaCall *call);
extern Value jinja_call_value(Jinja *j, const Value *callee, JinjaCall *call);
extern Value jinja_call_filter(Jinja *j, const JinjaFunction *filter, const Value *piped, JinjaCall *call);
extern const JinjaFunction *jinja_filter(const char *name, int len);
extern const JinjaFunction *jinja_test(const char *name, int len);
extern Value jinja_absent(void);
extern Value jinja_undefined(const char *name);
extern Value jinja_undefined_because(const char *message);
extern Value jinja_bound(const JinjaFunction *function, const Value *self);
extern Value jinja_new_object(JinjaObject *object, JinjaObjectType type);
extern JinjaObject *jinja_object(const Value *value, JinjaObjectType type);	/* NULL when it is another */
extern bool jinja_global(Jinja *j, const char *name, Value *value);

/* Arguments, after jinja_bind(). */
#define ARG(i) (&call->args[i])
#define GIVEN(i) (!(call->args[i].kind == VALUE_UNDEFINED && (call->args[i].flags & VALUE_F_ABSENT)))
extern int64 jinja_int(const Value *value, const char *what);
extern Value jinja_text_of(const Value *value, const char *what);
extern const char *jinja_shown_name(const Jinja *j, const char *name);
extern bool jinja_flag_arg(JinjaCall *call, int i, bool otherwise);
extern bool jinja_descending_arg(JinjaCall *call, int i);	/* as sort() has it: a boolean or an integer */
extern int64 jinja_int_arg(JinjaCall *call, int i, int64 otherwise);

/* jinja_value.c: Python's protocols */
extern bool jinja_truth(const Value *value);
extern Value jinja_str(const Value *value);	/* str(): a plain string */
extern Value jinja_soft_str(const Value *value);	/* the same, but markup stays markup */
extern Value jinja_escape(const Value *value);
extern int64 jinja_length(const Value *value);	/* raises where Python's len() does */
extern bool jinja_has_length(const Value *value);
extern bool jinja_is_iterable(const Value *value);
extern Iterator *jinja_iterate(const Value *value);
extern Value jinja_collect(const Value *value);	/* a new mutable list */
extern Value jinja_item_at(const Value *sequence, int64 i);
extern Value jinja_mutable(Value list);
extern Value jinja_tuple(Value list);
extern Value jinja_markup(Value string);
extern bool jinja_is_markup(const Value *value);
extern const char *jinja_kind_name(const Value *value);
extern void jinja_use(const Value *value);	/* raises what is undefined */
extern Value jinja_finalize(Jinja *j, const Value *value);

/* jinja_ops.c */
extern Value jinja_binary(JinjaOp op, const Value *a, const Value *b);
extern Value jinja_unary(JinjaOp op, const Value *a);
extern bool jinja_compare(JinjaOp op, const Value *a, const Value *b);
extern bool jinja_equal(const Value *a, const Value *b);
extern bool jinja_contains(const Value *container, const Value *item);
extern void jinja_sort(Value *items, const Value *keys, int n, bool reverse);

/* jinja_access.c */
extern int64 jinja_loop_length(JinjaLoop *loop);
extern Value jinja_getattr(const Value *object, const char *name, int len);
extern Value jinja_getitem(const Value *object, const Value *key);
extern bool jinja_attribute(const Value *object, const char *name, int len, Value *value);
extern Value jinja_slice(const Value *object, const Value *start, const Value *stop, const Value *step);
extern bool jinja_is_dict_method(const char *name);

/* jinja_format.c */
extern Value jinja_percent(const Value *format, const Value *args);
extern void jinja_format_value(StringInfo out, const Value *value, const char *s, int len);
extern Value jinja_repr_of(const Value *value, bool ascii);
extern void jinja_put(StringInfo out, const char *s, int len);	/* appends within the limits */

/* jinja_format_text.c */
extern Value jinja_format(JinjaCall *call, const Value *format);

/* jinja_text.c: pieces of strings */
extern Value jinja_strip(const Value *text, const Value *chars, bool left, bool right);
extern Value jinja_split(const Value *text, const Value *separator, int64 most, bool from_right);
extern Value jinja_split_lines(const Value *text, bool keep_ends);
extern Value jinja_replace(const Value *text, const Value *old, const Value *new, int64 most);
extern Value jinja_join(const Value *separator, const Value *items, bool convert);
extern Value jinja_pad(const Value *text, int64 width, const Value *fill, int side);
extern Value jinja_capitalize(const Value *text);
extern Value jinja_first_letter(const char *s, int len);
extern int64 jinja_find(const Value *text, const Value *part, int64 from, int64 to, bool last);
extern Value jinja_substring(const Value *text, int64 from, int64 to);
extern Value jinja_as(const Value *like, Value text);

/* jinja_functions.c */
extern int64 jinja_random_below(int64 n);

/* jinja_filters_sequence.c */
extern Value jinja_path(const Value *object, const Value *path, const Value *otherwise);

/* jinja_pretty.c */
extern void jinja_pformat(StringInfo out, const Value *value);
extern void jinja_json(StringInfo out, const Value *value, const char *indent);

#define JINJA(name, implementation, signature) extern Value implementation(JinjaCall *call);
#include "expr/jinja_filter_list.h"
#include "expr/jinja_test_list.h"
#include "expr/jinja_global_list.h"
#define MISTRAL(name, function, asks_engine, yaql, jinja) JINJA(name, jinja_mistral, jinja)
#include "expr/mistral_func_list.h"
#undef MISTRAL
#undef JINJA
#define JINJA_METHOD(types, name, implementation, signature) extern Value implementation(JinjaCall *call);
#include "expr/jinja_method_list.h"
#undef JINJA_METHOD

#endif							/* MISTRAL_JINJA_H */
