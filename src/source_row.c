/*
 * source_row.c
 *	  A row of an attached table, read as a payment.
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
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "source.h"

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
	const SourceRole needed[] = {SOURCE_USER, SOURCE_AMOUNT, SOURCE_PAYMENT_ID};
	bool		isnull;

	if (source->column[SOURCE_PAID_WHEN].attno != 0)
	{
		Datum		paid = role_value(source, slot, SOURCE_PAID_WHEN, &isnull);

		if (isnull || (source->column[SOURCE_PAID_WHEN].type == BOOLOID && !DatumGetBool(paid)))
			return SOURCE_UNPAID;
	}
	for (int i = 0; i < (int) lengthof(needed); i++)
	{
		role_value(source, slot, needed[i], &isnull);
		if (isnull)
			return SOURCE_INCOMPLETE;
	}
	return SOURCE_COUNTS;
}

/* Always a copy: the payment outlives the slot's row. */
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
 * The payment that a row which counts stands for, in the order of the columns
 * of referral.payment: id, user, amount, base, kind, occurred_at.
 */
void
source_payment(const Source *source, TupleTableSlot *slot, Datum *payment, bool *nulls)
{
	const SourceColumn *column = source->column;
	Datum		value;
	bool		isnull;

	value = role_value(source, slot, SOURCE_PAYMENT_ID, &isnull);
	payment[0] = PointerGetDatum(prefixed(source->id_prefix,
										  text_of(value, column[SOURCE_PAYMENT_ID].type)));
	value = role_value(source, slot, SOURCE_USER, &isnull);
	payment[1] = PointerGetDatum(text_of(value, column[SOURCE_USER].type));
	value = role_value(source, slot, SOURCE_AMOUNT, &isnull);
	payment[2] = Int64GetDatum(micro_of(source, value, column[SOURCE_AMOUNT].type));
	memset(nulls, false, PAYMENT_COLUMNS * sizeof(bool));

	value = role_value(source, slot, SOURCE_BASE, &nulls[3]);
	payment[3] = nulls[3] ? (Datum) 0 :
		Int64GetDatum(micro_of(source, value, column[SOURCE_BASE].type));
	value = role_value(source, slot, SOURCE_KIND, &isnull);
	payment[4] = PointerGetDatum(isnull ? cstring_to_text("purchase") :
								 text_of(value, column[SOURCE_KIND].type));
	payment[5] = TimestampTzGetDatum(occurred_at(source, slot));
}
