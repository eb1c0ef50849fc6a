/*
 * yaql.h
 *		YAQL: syntax tree, contexts, function table, calls.
 */
#ifndef MISTRAL_YAQL_H
#define MISTRAL_YAQL_H

#include "postgres.h"

#include "expr/value_internal.h"

typedef enum NodeType
{
	NODE_CONSTANT,
	NODE_KEYWORD,				/* a bare word: a constant that may be a name */
	NODE_VARIABLE,
	NODE_WRAP,					/* ( value ) */
	NODE_CALL,					/* name(args), and every operator */
	NODE_PAIR,					/* a => b */
	NODE_HOLE					/* f(,1): the default */
} NodeType;

/* Calls that the evaluator takes itself, for speed or for their own rules. */
typedef enum NodeOp
{
	OP_NONE,
	OP_DOT,
	OP_SAFE_DOT,
	OP_AND,
	OP_OR,
	OP_NOT,
	OP_EQUAL,
	OP_NOT_EQUAL,
	OP_SEND						/* -> */
} NodeOp;

typedef struct YaqlGroup YaqlGroup;
typedef struct Frame Frame;

typedef struct YaqlNode
{
	NodeType	type;
	NodeOp		op;
	bool		method_like;	/* name(args): may stand right of a dot */
	bool		keeps_frame;	/* what it gives may still look into its context */
	int			position;		/* byte offset in the expression */
	int			index;			/* of variables $1, $2, ...; else 0 */
	int			nargs;
	struct YaqlNode **args;
	Value		value;			/* constant, keyword, variable's name */
	const char *name;			/* of a call */
	const YaqlGroup *group;		/* overloads of that name, NULL when there are none */
} YaqlNode;

/* A context: variables and functions of let(), def() and of lambdas' calls. */
#define FRAME_ARGS 3
typedef struct FrameVariable
{
	struct FrameVariable *next;
	Value		name;
	Value		value;
} FrameVariable;

typedef struct FrameFunction
{
	struct FrameFunction *next;
	Value		name;
	Value		body;			/* lambda */
} FrameFunction;

struct Frame
{
	Frame	   *parent;
	int			nargs;			/* $1 up to $nargs */
	Value		args[FRAME_ARGS];
	FrameVariable *variables;
	FrameFunction *functions;
};

/* An argument that the function itself evaluates, in its caller's context. */
typedef struct Lambda
{
	const YaqlNode *node;			/* NULL: a value that was given as such */
	Value		value;
	Frame	   *frame;
	Frame	   *kept;			/* reused from call to call */
	bool		busy;
	bool		constant;
} Lambda;

/* What a parameter accepts. */
#define TYPE_NULL 0x0001
#define TYPE_BOOL 0x0002
#define TYPE_INT 0x0004			/* an integer that is no boolean */
#define TYPE_FLOAT 0x0008
#define TYPE_STRING 0x0010
#define TYPE_SEQUENCE 0x0020	/* list, tuple */
#define TYPE_DICT 0x0040
#define TYPE_SET 0x0080
#define TYPE_ITERATOR 0x0100
#define TYPE_ORDERED 0x0200
#define TYPE_VALUES 0x0400		/* values() of a dict: iterable only */
#define TYPE_REGEX 0x0800
#define TYPE_DATETIME 0x1000
#define TYPE_TIMESPAN 0x2000
#define TYPE_CONTEXT 0x4000
#define TYPE_PAIR 0x8000
#define TYPE_OTHER 0x10000
#define TYPE_ANY 0x1fffe
#define TYPE_ITERABLE (TYPE_SEQUENCE | TYPE_SET | TYPE_ITERATOR | TYPE_ORDERED | TYPE_VALUES)
/* Not evaluated by the caller. */
#define TYPE_LAMBDA 0x100000
#define TYPE_LAZY_PAIR 0x200000
#define TYPE_KEYWORD 0x400000	/* a bare word in the text */
#define TYPE_CONSTANT 0x800000	/* a text constant */
#define TYPE_EXPRESSION 0x1000000
#define TYPE_LAZY (TYPE_LAMBDA | TYPE_LAZY_PAIR | TYPE_EXPRESSION)

typedef struct YaqlParameter
{
	const char *name;
	uint32		type;
	bool		iterable;		/* the limit of iterators applies */
	bool		has_default;
	Value		value;			/* the default; VALUE_UNDEFINED: "not given" */
} YaqlParameter;

#define YAQL_MAX_PARAMETERS 12

struct YaqlCall;
typedef Value (*YaqlImplementation) (struct YaqlCall *call);

typedef struct YaqlFunction
{
	const char *name;
	uint32		flags;
	YaqlImplementation implementation;
	const char *signature;
	int			nparameters;
	YaqlParameter *parameters;
	YaqlParameter *rest;		/* *args */
	YaqlParameter *keywords;	/* **kwargs */
} YaqlFunction;

#define YAQL_FUNCTION 1
#define YAQL_METHOD 2
#define YAQL_EXTENSION (YAQL_FUNCTION | YAQL_METHOD)
#define YAQL_PAIRS 4			/* k => v are pairs, not keyword arguments */
#define YAQL_KEEPS 8			/* what it gives may call its lambdas later */

struct YaqlGroup
{
	const char *name;
	int			n;
	YaqlFunction **functions;
	uint32		flags;			/* of all */
};

typedef struct YaqlCall
{
	Eval	   *ev;
	Frame	   *frame;			/* the caller's context */
	const YaqlFunction *function;
	int			nargs;			/* parameters, then the rest */
	Value	   *args;
	int			nkeywords;		/* of **kwargs */
	Value	   *keyword_names;
	Value	   *keyword_values;
} YaqlCall;

/* An argument on its way into a call. */
typedef struct Argument
{
	const YaqlNode *node;			/* NULL: only the value */
	Value		value;
	Value		name;			/* of a keyword argument; else VALUE_NULL */
} Argument;

/* yaql_parse.c: NULL and *error when it does not parse. */
extern YaqlNode *yaql_parse(const char *text, int len, ExprError *error);

/* yaql_eval.c */
extern Value yaql_run(const YaqlNode *node, const char *text, int len, const ExprEnv *env);
extern Value yaql_eval(Eval *ev, const YaqlNode *node, Frame *frame);
extern Value yaql_dot(Eval *ev, const Value *receiver, const YaqlNode *right, Frame *frame);
extern Value yaql_property(Eval *ev, const Value *receiver, const Value *name);
extern Value yaql_finalize(Eval *ev, const Value *value);
extern bool yaql_get_variable(const Frame *frame, const Value *name, int index, Value *value);
extern Frame *yaql_frame(Frame *parent);
extern void yaql_set_variable(Frame *frame, Value name, Value value);
extern void yaql_set_argument(Frame *frame, int index, Value value);

/* yaql_call.c */
extern const YaqlGroup *yaql_group(const char *name, int len);
extern Value yaql_call_function(Eval *ev, Frame *frame, const YaqlNode *node, const YaqlGroup *group,
								const Value *name, const Value *receiver, const Argument *args, int nargs);
extern Value yaql_call_node(Eval *ev, Frame *frame, const YaqlNode *node, const Value *receiver);
extern Value yaql_call_values(Eval *ev, Frame *frame, const YaqlGroup *group, const Value *args, int nargs);
extern Value yaql_call_lambda(Eval *ev, const Value *lambda, const Value *args, int nargs);
extern Value yaql_call_lambda_in(Eval *ev, const Value *lambda, Frame *frame);
extern uint32 yaql_type(const Value *value);

static inline Value
yaql_call1(Eval *ev, const Value *lambda, Value arg)
{
	return yaql_call_lambda(ev, lambda, &arg, 1);
}

/* yaql_ops.c: the operators as other functions use them. */
extern Value yaql_add(Eval *ev, Frame *frame, const Value *a, const Value *b);
extern bool yaql_less(Eval *ev, Frame *frame, const Value *a, const Value *b);
extern bool yaql_greater(Eval *ev, Frame *frame, const Value *a, const Value *b);
extern Value yaql_str_value(const Value *value);

#define YAQL(name, flags, implementation, signature) extern Value implementation(YaqlCall *call);
#include "expr/yaql_func_list.h"
#undef YAQL

#endif							/* MISTRAL_YAQL_H */
