/*
 * downline.c
 *	  How many members stand below a member, per level.
 *
 * attribute() knows who gets how many; they are counted like everything else,
 * so that sign-ups under one referrer do not wait for each other.
 */
#include "postgres.h"

#include "counters.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

static int64 *
int_array(Datum array, Oid type, int *n)
{
	Datum	   *elements;
	int64	   *result;
	int16		length;
	bool		by_value;
	char		alignment;

	get_typlenbyvalalign(type, &length, &by_value, &alignment);
	deconstruct_array(DatumGetArrayTypeP(array), type, length, by_value,
					  alignment, &elements, NULL, n);
	result = palloc(*n * sizeof(int64));
	for (int i = 0; i < *n; i++)
		result[i] = type == INT8OID ? DatumGetInt64(elements[i]) : DatumGetInt32(elements[i]);
	return result;
}

PG_FUNCTION_INFO_V1(referral_count_downline);

/*
 * count_downline(program_id, member_ids, levels, members)
 */
Datum
referral_count_downline(PG_FUNCTION_ARGS)
{
	int			n,
				nlevels,
				ncounts;
	int64	   *ids = int_array(PG_GETARG_DATUM(1), INT8OID, &n);
	int64	   *levels = int_array(PG_GETARG_DATUM(2), INT4OID, &nlevels);
	int64	   *counts = int_array(PG_GETARG_DATUM(3), INT8OID, &ncounts);
	Books	   *books;
	Counters   *counters;

	if (n != nlevels || n != ncounts)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("arrays differ in length")));

	books = books_open(get_func_namespace(fcinfo->flinfo->fn_oid));
	counters = counters_begin(books);
	for (int i = 0; i < n; i++)
	{
		CounterKey	key = {{PG_GETARG_INT64(0), ids[i], levels[i]}};
		int64		values[COUNTER_MAX_VALUES] = {counts[i]};

		counters_add(counters, TABLE_DOWNLINE, &key, values);
	}
	counters_flush(counters);
	books_close(books);
	PG_RETURN_VOID();
}
