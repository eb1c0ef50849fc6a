/*
 * json_flat.c
 *		Building small jsonb values of a known shape in one pass.
 *
 * The layout is that of utils/jsonb.h: a container's header, an entry for each
 * child, then what they hold, numbers and containers aligned to four bytes.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/numeric.h"

#include "base/json_flat.h"

/* Numbers below this one are converted once. */
#define KEPT_NUMBERS 256

static void open_container(JsonFlat *f, uint32 header, int nchildren);
static void add_aligned(JsonFlat *f, uint32 type, const void *bytes, Size size);
static void add_child(JsonFlat *f, uint32 type, int start);
static void pad(JsonFlat *f);
static Numeric number(int i);

void
json_flat_begin(JsonFlat *f, int size)
{
	f->buf.data = palloc(size + VARHDRSZ);
	f->buf.maxlen = size + VARHDRSZ;
	f->buf.len = VARHDRSZ;
	f->buf.cursor = 0;
	f->depth = 0;
}

void
json_flat_open_array(JsonFlat *f, int nelements)
{
	open_container(f, nelements | JB_FARRAY, nelements);
}

void
json_flat_open_object(JsonFlat *f, int npairs)
{
	open_container(f, npairs | JB_FOBJECT, 2 * npairs);
}

static void
open_container(JsonFlat *f, uint32 header, int nchildren)
{
	int			start = f->buf.len;
	int			head;

	Assert(f->depth < JSON_FLAT_DEPTH);
	pad(f);
	head = f->buf.len;
	enlargeStringInfo(&f->buf, sizeof(uint32) + nchildren * sizeof(JEntry));
	memcpy(f->buf.data + head, &header, sizeof(uint32));
	f->open[f->depth].start = start;
	f->open[f->depth].entries = head + sizeof(uint32);
	f->open[f->depth].data = f->buf.len = head + sizeof(uint32) + nchildren * sizeof(JEntry);
	f->open[f->depth].next = 0;
	f->open[f->depth].nchildren = nchildren;
	f->depth++;
}

void
json_flat_close(JsonFlat *f)
{
	f->depth--;
	Assert(f->open[f->depth].next == f->open[f->depth].nchildren);
	if (f->depth > 0)
		add_child(f, JENTRY_ISCONTAINER, f->open[f->depth].start);
}

void
json_flat_string(JsonFlat *f, const char *s, int len)
{
	int			start = f->buf.len;

	enlargeStringInfo(&f->buf, len);
	memcpy(f->buf.data + start, s, len);
	f->buf.len += len;
	add_child(f, JENTRY_ISSTRING, start);
}

void
json_flat_int(JsonFlat *f, int i)
{
	json_flat_numeric(f, number(i));
}

void
json_flat_numeric(JsonFlat *f, Numeric number)
{
	add_aligned(f, JENTRY_ISNUMERIC, number, VARSIZE(number));
}

void
json_flat_jsonb(JsonFlat *f, const Jsonb *value)
{
	JsonbValue	v = {.type = jbvNull};

	if (value && !JB_ROOT_IS_SCALAR(value))
	{
		add_aligned(f, JENTRY_ISCONTAINER, &value->root, VARSIZE(value) - VARHDRSZ);
		return;
	}
	if (value)
		JsonbExtractScalar(unconstify(JsonbContainer *, &value->root), &v);
	if (v.type == jbvString)
		json_flat_string(f, v.val.string.val, v.val.string.len);
	else if (v.type == jbvNumeric)
		json_flat_numeric(f, v.val.numeric);
	else if (v.type == jbvBool)
		add_child(f, v.val.boolean ? JENTRY_ISBOOL_TRUE : JENTRY_ISBOOL_FALSE, f->buf.len);
	else
		add_child(f, JENTRY_ISNULL, f->buf.len);
}

Jsonb *
json_flat_finish(JsonFlat *f)
{
	Assert(f->depth == 0);
	SET_VARSIZE(f->buf.data, f->buf.len);
	return (Jsonb *) f->buf.data;
}

int
json_compare_keys(const char *a, int alen, const char *b, int blen)
{
	return alen != blen ? (alen > blen ? 1 : -1) : memcmp(a, b, alen);
}

static void
add_aligned(JsonFlat *f, uint32 type, const void *bytes, Size size)
{
	int			start = f->buf.len;

	pad(f);
	enlargeStringInfo(&f->buf, size);
	memcpy(f->buf.data + f->buf.len, bytes, size);
	f->buf.len += size;
	add_child(f, type, start);
}

/* The child that begins at `start` and ends here: its length, or every so often where it ends. */
static void
add_child(JsonFlat *f, uint32 type, int start)
{
	int			child = f->open[f->depth - 1].next++;
	int			data = f->open[f->depth - 1].data;
	uint32		end = f->buf.len - data;
	JEntry		entry = type | (f->buf.len - start);

	Assert(child < f->open[f->depth - 1].nchildren);
	if (end > JENTRY_OFFLENMASK)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a jsonb value of more than %u bytes cannot be stored", JENTRY_OFFLENMASK)));
	if (child % JB_OFFSET_STRIDE == 0)
		entry = type | JENTRY_HAS_OFF | end;
	memcpy(f->buf.data + f->open[f->depth - 1].entries + child * sizeof(JEntry), &entry, sizeof(JEntry));
}

static void
pad(JsonFlat *f)
{
	int			n = INTALIGN(f->buf.len) - f->buf.len;

	enlargeStringInfo(&f->buf, n);
	memset(f->buf.data + f->buf.len, 0, n);
	f->buf.len += n;
}

static Numeric
number(int i)
{
	static Numeric kept[KEPT_NUMBERS];
	MemoryContext old;

	if (i < 0 || i >= KEPT_NUMBERS)
		return int64_to_numeric(i);
	if (kept[i] == NULL)
	{
		old = MemoryContextSwitchTo(TopMemoryContext);
		kept[i] = int64_to_numeric(i);
		MemoryContextSwitchTo(old);
	}
	return kept[i];
}
