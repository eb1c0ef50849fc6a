/* Placeholder until the expression library lands: everything is plain text. */
#include "postgres.h"
#include "expr/expr.h"
