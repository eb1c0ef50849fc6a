/*
 * value_bits.c
 *		Python's bit operations on integers of any size.
 *
 * An integer is an endless row of bits, negative ones in two's complement; here
 * they are as many 32-bit limbs as the longer operand needs, and one more.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/fmgrprotos.h"

#include "expr/value_internal.h"

/* Bits that a result may have: 40000 digits. */
#define MAX_BITS 132877

typedef struct Bits
{
	int			n;
	uint32	   *limbs;			/* least first, two's complement */
} Bits;

static void
negate(Bits *bits)
{
	uint64		carry = 1;

	for (int i = 0; i < bits->n; i++)
	{
		carry += (uint32) ~bits->limbs[i];
		bits->limbs[i] = (uint32) carry;
		carry >>= 32;
	}
}

static Bits
bits_of(const Value *value, int least)
{
	Bits		bits;
	char	   *digits;
	bool		negative;

	if (value->kind != VALUE_BIGINT)
	{
		int64		i = value->kind == VALUE_BOOL ? (int64) value->u.boolean : value->u.integer;

		bits.n = Max(least, 3);
		bits.limbs = palloc(bits.n * sizeof(uint32));
		memset(bits.limbs, i < 0 ? 0xff : 0, bits.n * sizeof(uint32));
		bits.limbs[0] = (uint32) i;
		bits.limbs[1] = (uint32) ((uint64) i >> 32);
		return bits;
	}
	digits = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->u.bigint)));
	negative = *digits == '-';
	if (negative)
		digits++;
	bits.n = Max(least, (int) strlen(digits) / 9 + 2);
	bits.limbs = palloc0(bits.n * sizeof(uint32));
	for (; *digits; digits++)
	{
		uint64		carry = *digits - '0';

		for (int i = 0; i < bits.n; i++)
		{
			carry += (uint64) bits.limbs[i] * 10;
			bits.limbs[i] = (uint32) carry;
			carry >>= 32;
		}
		expr_tick();
	}
	if (negative)
		negate(&bits);
	return bits;
}

static Value
value_of_bits(Bits *bits)
{
	bool		negative = bits->n > 0 && (bits->limbs[bits->n - 1] >> 31) != 0;
	char	   *digits = palloc(bits->n * 10 + 3);
	char	   *p = digits + bits->n * 10 + 2;
	int			top = bits->n;

	if (negative)
		negate(bits);
	*p = '\0';
	do
	{
		uint64		rest = 0;

		for (int i = top - 1; i >= 0; i--)
		{
			rest = rest << 32 | bits->limbs[i];
			bits->limbs[i] = (uint32) (rest / 1000000000);
			rest %= 1000000000;
		}
		while (top > 0 && bits->limbs[top - 1] == 0)
			top--;
		for (int i = 0; i < 9; i++)
		{
			*--p = '0' + rest % 10;
			rest /= 10;
		}
		expr_tick();
	} while (top > 0);
	if (negative)
		*--p = '-';
	return value_from_digits(p);
}

Value
number_bitwise(char op, const Value *a, const Value *b)
{
	Bits		x = bits_of(a, 0);
	Bits		y = bits_of(b, x.n);

	if (a->kind == VALUE_BOOL && b->kind == VALUE_BOOL)
		return value_bool(op == '&' ? a->u.boolean && b->u.boolean :
						  op == '|' ? a->u.boolean || b->u.boolean : a->u.boolean != b->u.boolean);
	if (y.n > x.n)
		x = bits_of(a, y.n);
	for (int i = 0; i < x.n; i++)
	{
		if (op == '&')
			x.limbs[i] &= y.limbs[i];
		else if (op == '|')
			x.limbs[i] |= y.limbs[i];
		else
			x.limbs[i] ^= y.limbs[i];
	}
	return value_of_bits(&x);
}

Value
number_shift(const Value *a, const Value *count, bool left)
{
	Value		zero = value_int(0);
	Value		two = value_int(2);
	Value		limit = value_int(MAX_BITS);
	Value		factor;

	if (number_compare(count, &zero) < 0)
		expr_fail("a number of bits to shift by is negative");
	if (number_compare(count, &limit) > 0)
	{
		if (left && number_compare(a, &zero) != 0)
			expr_limit("an integer has more than %d bits", MAX_BITS);
		return value_int(!left && number_compare(a, &zero) < 0 ? -1 : 0);
	}
	factor = number_power(&two, count);
	return left ? number_multiply(a, &factor) : number_floor_divide(a, &factor);
}

char *
number_hex(const Value *a)
{
	Bits		bits = bits_of(a, 0);
	bool		negative = (bits.limbs[bits.n - 1] >> 31) != 0;
	StringInfoData out;
	int			top;

	if (negative)
		negate(&bits);
	for (top = bits.n; top > 1 && bits.limbs[top - 1] == 0; top--)
		;
	initStringInfo(&out);
	appendStringInfo(&out, "%s0x%x", negative ? "-" : "", bits.limbs[top - 1]);
	for (int i = top - 2; i >= 0; i--)
		appendStringInfo(&out, "%08x", bits.limbs[i]);
	return out.data;
}
