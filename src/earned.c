/*
 * earned.c
 *	  What a member earned, per level, as readers ask for it.
 *
 * A member has a counter for each day and level on which he earned something,
 * so a year of business is a thousand rows.  Reading them here, as the query
 * that asks sees them, takes half of what the executor takes to sum them up.
 */
#include "account.h"

#include "access/genam.h"
#include "access/relation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Sums of one level; net of reversals. */
typedef struct Earned
{
	bool		found;
	int128		pending_micro;
	int128		net_micro;
	int128		volume_micro;
	int128		deposits_micro;
} Earned;

/* Add up the counters of a member by level. */
static void
sum_levels(Oid namespace, int64 program_id, int64 member_id, Earned *levels)
{
	Relation	rel = table_open(table_oid(namespace, TABLE_EARNING), AccessShareLock);
	Relation	key = index_open(RelationGetPrimaryKeyIndex(rel), AccessShareLock);
	IndexScanDesc scan = index_beginscan(rel, key, GetActiveSnapshot(), 2, 0);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TimestampTz now = GetCurrentStatementStartTimestamp();
	ScanKeyData scankey[2];

	ScanKeyInit(&scankey[0], 1, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(program_id));
	ScanKeyInit(&scankey[1], 2, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(member_id));
	index_rescan(scan, scankey, 2, NULL, 0);
	while (index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		Datum	   *value = slot->tts_values - 1;	/* by column number */
		Earned	   *level;
		int64		net;

		CHECK_FOR_INTERRUPTS();
		slot_getsomeattrs(slot, EARNING_COLUMN_REVERSED_MICRO);
		level = &levels[DatumGetInt16(value[EARNING_COLUMN_LEVEL])];
		net = DatumGetInt64(value[EARNING_COLUMN_AMOUNT_MICRO]) -
			DatumGetInt64(value[EARNING_COLUMN_REVERSED_MICRO]);
		level->found = true;
		level->net_micro += net;
		if (DatumGetTimestampTz(value[EARNING_COLUMN_AVAILABLE_AT]) > now)
			level->pending_micro += net;
		level->volume_micro += DatumGetInt64(value[EARNING_COLUMN_VOLUME_MICRO]);
		level->deposits_micro += DatumGetInt64(value[EARNING_COLUMN_DEPOSITS_MICRO]);
	}
	ExecDropSingleTupleTableSlot(slot);
	index_endscan(scan);
	index_close(key, NoLock);
	table_close(rel, NoLock);
}

static Datum
numeric_of(int128 sum)
{
	const int64 unit = INT64CONST(1000000000000000000);
	Numeric		high;

	if (sum >= PG_INT64_MIN && sum <= PG_INT64_MAX)
		return NumericGetDatum(int64_to_numeric((int64) sum));
	high = numeric_mul_opt_error(int64_to_numeric((int64) (sum / unit)),
								 int64_to_numeric(unit), NULL);
	return NumericGetDatum(numeric_add_opt_error(high,
												 int64_to_numeric((int64) (sum % unit)),
												 NULL));
}

PG_FUNCTION_INFO_V1(referral_earned);

/*
 * earned(program_id, member_id)
 */
Datum
referral_earned(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Earned		levels[REFERRAL_MAX_LEVEL + 1] = {0};

	sum_levels(get_func_namespace(fcinfo->flinfo->fn_oid), PG_GETARG_INT64(0),
			   PG_GETARG_INT64(1), levels);
	InitMaterializedSRF(fcinfo, 0);
	for (int level = 0; level <= REFERRAL_MAX_LEVEL; level++)
	{
		Earned	   *earned = &levels[level];
		Datum		values[5];
		bool		nulls[5] = {false};

		if (!earned->found)
			continue;
		values[0] = Int32GetDatum(level);
		values[1] = numeric_of(earned->pending_micro);
		values[2] = numeric_of(earned->net_micro);
		values[3] = numeric_of(earned->volume_micro);
		values[4] = numeric_of(earned->deposits_micro);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
