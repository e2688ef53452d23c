/*
 * source_row.c
 *	  A row of an attached table, read as a payment or a refund.
 *
 *	  Only functions of built-in types run here, never code of the table's
 *	  owner. Ids become the text that PostgreSQL prints for them. An amount is
 *	  floor(amount * unit_micro), computed exactly; what does not fit is 22003,
 *	  and negative amounts are left to the engine to refuse. A time without a
 *	  zone is one in the program's zone, whoever the session is.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "source.h"

/* Where the engine ends a refund's reason. */
#define REASON_CHARACTERS	1000

/* The value of a role, or isnull if the table has no column for it. */
static Datum
role_value(const Source *source, TupleTableSlot *slot, SourceRole role, bool *isnull)
{
	AttrNumber	attno = source->column[role].attno;

	*isnull = attno == 0;
	return *isnull ? (Datum) 0 : slot_getattr(slot, attno, isnull);
}

SourceFate
source_fate(const Source *source, TupleTableSlot *slot)
{
	const SourceRole needed[] = {SOURCE_USER, SOURCE_AMOUNT, SOURCE_PAYMENT_ID, SOURCE_REFUND_ID};
	bool		isnull;

	if (source_names(source, SOURCE_PAID_WHEN))
	{
		Datum		paid = role_value(source, slot, SOURCE_PAID_WHEN, &isnull);

		if (isnull || (source->column[SOURCE_PAID_WHEN].type == BOOLOID && !DatumGetBool(paid)))
			return SOURCE_UNPAID;
	}
	for (int i = 0; i < (int) lengthof(needed); i++)
	{
		role_value(source, slot, needed[i], &isnull);
		if (isnull && source_names(source, needed[i]))
			return SOURCE_INCOMPLETE;
	}
	return SOURCE_COUNTS;
}

/* Always a copy: what is made of it outlives the slot's row. */
static text *
text_of(Datum value, Oid type)
{
	Oid			output;
	bool		varlena;

	switch (type)
	{
		case TEXTOID:
		case VARCHAROID:
			return DatumGetTextPCopy(value);
		case BPCHAROID:
			/* as its cast to text: padding is no part of the value */
			return DatumGetTextPP(DirectFunctionCall1(rtrim1, value));
		default:
			getTypeOutputInfo(type, &output, &varlena);
			return cstring_to_text(OidOutputFunctionCall(output, value));
	}
}

static text *
prefixed(const text *prefix, text *id)
{
	Size		before = VARSIZE_ANY_EXHDR(prefix);
	Size		after = VARSIZE_ANY_EXHDR(id);
	text	   *both;

	if (before == 0)
		return id;
	both = palloc(before + after + VARHDRSZ);
	SET_VARSIZE(both, before + after + VARHDRSZ);
	memcpy(VARDATA(both), VARDATA_ANY(prefix), before);
	memcpy(VARDATA(both) + before, VARDATA_ANY(id), after);
	return both;
}

/* An explanation too long for the books is no cause to refuse the refund. */
static text *
clipped(text *reason)
{
	int			bytes = pg_mbcharcliplen(VARDATA_ANY(reason), VARSIZE_ANY_EXHDR(reason),
										 REASON_CHARACTERS);

	return bytes == (int) VARSIZE_ANY_EXHDR(reason) ? reason :
		cstring_to_text_with_len(VARDATA_ANY(reason), bytes);
}

static void
amount_out_of_range(const Source *source)
{
	ereport(ERROR,
			errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			errmsg("source amount is out of range"),
			errdetail("An amount of table %s times %lld micro-units is not a number that fits bigint.",
					  quote_identifier(NameStr(source->table)),
					  (long long) source->unit_micro));
}

static int64
micro_of_numeric(const Source *source, Numeric amount)
{
	Numeric		micro;

	if (numeric_is_nan(amount) || numeric_is_inf(amount))
		amount_out_of_range(source);
	micro = numeric_mul_opt_error(amount, int64_to_numeric(source->unit_micro), NULL);
	micro = DatumGetNumeric(DirectFunctionCall1(numeric_floor, NumericGetDatum(micro)));
	if (DatumGetBool(DirectFunctionCall2(numeric_gt, NumericGetDatum(micro),
										 NumericGetDatum(int64_to_numeric(PG_INT64_MAX)))) ||
		DatumGetBool(DirectFunctionCall2(numeric_lt, NumericGetDatum(micro),
										 NumericGetDatum(int64_to_numeric(PG_INT64_MIN)))))
		amount_out_of_range(source);
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(micro)));
}

static int64
micro_of(const Source *source, Datum value, Oid type)
{
	int64		amount;
	int64		micro;

	switch (type)
	{
		case INT2OID:
			amount = DatumGetInt16(value);
			break;
		case INT4OID:
			amount = DatumGetInt32(value);
			break;
		case INT8OID:
			amount = DatumGetInt64(value);
			break;
		default:
			return micro_of_numeric(source, DatumGetNumeric(value));
	}
	if (pg_mul_s64_overflow(amount, source->unit_micro, &micro))
		amount_out_of_range(source);
	return micro;
}

static TimestampTz
instant_of(const Source *source, Datum value, Oid type)
{
	if (type == DATEOID)
		value = DirectFunctionCall1(date_timestamp, value);
	if (type != TIMESTAMPTZOID)
		value = DirectFunctionCall2(timestamp_zone, PointerGetDatum(source->time_zone), value);
	return DatumGetTimestampTz(value);
}

/* occurred_at, else the instant in paid_when, else now. */
static TimestampTz
occurred_at(const Source *source, TupleTableSlot *slot)
{
	const SourceRole roles[] = {SOURCE_OCCURRED_AT, SOURCE_PAID_WHEN};

	for (int i = 0; i < (int) lengthof(roles); i++)
	{
		Oid			type = source->column[roles[i]].type;
		bool		isnull;
		Datum		value = role_value(source, slot, roles[i], &isnull);

		if (!isnull && type != BOOLOID)
			return instant_of(source, value, type);
	}
	return GetCurrentTransactionStartTimestamp();
}

/*
 * What a row that counts says in a role, as the books hold it.
 */
Datum
source_value(const Source *source, TupleTableSlot *slot, SourceRole role, bool *isnull)
{
	Oid			type = source->column[role].type;
	Datum		value = role_value(source, slot, role, isnull);

	if (role == SOURCE_OCCURRED_AT)
	{
		*isnull = false;
		return TimestampTzGetDatum(occurred_at(source, slot));
	}
	if (*isnull)
	{
		*isnull = role != SOURCE_KIND;
		return *isnull ? (Datum) 0 : PointerGetDatum(cstring_to_text("purchase"));
	}
	switch (role)
	{
		case SOURCE_PAYMENT_ID:
		case SOURCE_REFUND_ID:
			return PointerGetDatum(prefixed(source->id_prefix, text_of(value, type)));
		case SOURCE_AMOUNT:
		case SOURCE_BASE:
		case SOURCE_REFUNDED:
			return Int64GetDatum(micro_of(source, value, type));
		case SOURCE_REASON:
			return PointerGetDatum(clipped(text_of(value, type)));
		default:
			return PointerGetDatum(text_of(value, type));
	}
}

/* What was given back of a payment so far; null is nothing, and so is less. */
int64
source_refunded(const Source *source, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		refunded = source_value(source, slot, SOURCE_REFUNDED, &isnull);

	return isnull ? 0 : Max(DatumGetInt64(refunded), 0);
}
