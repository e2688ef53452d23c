/*
 * bounded.c
 *	  Counters beside a limit: what a sum can come to, whoever commits.
 *
 * Who takes a place under a limit writes it into the counter before he knows
 * whether he will commit, and everybody counts what is written: between
 * bounded_enter() and bounded_leave() one session at a time looks how far the
 * sum can go and writes what it takes of the rest.  It waits for nothing
 * meanwhile, so this takes microseconds and cannot be part of a deadlock.  Only
 * where the sum can, but need not, come up to the limit, somebody has to wait
 * for those who have not committed, and looks again.
 *
 * How far the sum can go: the largest version of each part that is, or still
 * can come to be, seen by anybody from the snapshot on.  maintain() moves sums
 * from part to part, without coming in here; so a version counts, too, that was
 * replaced or deleted since the snapshot was taken, which no pruning removes
 * before the snapshot is gone.  What is moved may so count twice, never not at
 * all, and then the sum is open, and the next look knows better.
 */
#include "bounded.h"

#include "access/heapam.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/snapmgr.h"

/* No function of SQL reaches advisory locks of this class. */
#define LOCK_CLASS	0x5246

static LOCKTAG
lock_of(TableId table, const CounterKey *key)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) key,
										   sizeof(CounterKey), table);
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (hash >> 32), (uint32) hash,
						 LOCK_CLASS);
	return tag;
}

/*
 * Keep others from looking at this sum and taking of it until bounded_leave().
 * The table is open: nothing may be waited for meanwhile.
 */
void
bounded_enter(TableId table, const CounterKey *key)
{
	LOCKTAG		tag = lock_of(table, key);

	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

void
bounded_leave(TableId table, const CounterKey *key)
{
	LOCKTAG		tag = lock_of(table, key);

	(void) LockRelease(&tag, ExclusiveLock, false);
}

/* A look at the parts of one sum. */
typedef struct Look
{
	Snapshot	snapshot;
	TupleDesc	desc;
	AttrNumber	attnum;
	SumRange   *range;
	bool		any;			/* below is of versions of the current part */
	bool		is_open;
	int64		least;
	int64		most;
} Look;

/* Did whoever wrote this version write the next one on the page, too? */
static bool
is_rewritten(HeapTuple version)
{
	HeapTupleHeader header = version->t_data;

	return HeapTupleIsHotUpdated(version) &&
		!(header->t_infomask & (HEAP_XMAX_INVALID | HEAP_XMAX_IS_MULTI)) &&
		!HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask) &&
		TransactionIdEquals(HeapTupleHeaderGetRawXmax(header),
							HeapTupleHeaderGetRawXmin(header));
}

static void
look_at_version(Look *look, HeapTuple version, Buffer buffer)
{
	HeapTupleHeader header = version->t_data;
	bool		is_ours = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(header));
	TransactionId deleted_by;
	TransactionId writer = InvalidTransactionId;
	HTSV_Result state;
	bool		isnull;
	bool		is_seen;
	int64		value;

	if (is_rewritten(version))
		return;
	state = HeapTupleSatisfiesVacuumHorizon(version, buffer, &deleted_by);
	switch (state)
	{
		case HEAPTUPLE_DEAD:	/* its transaction was rolled back */
			return;
		case HEAPTUPLE_RECENTLY_DEAD:
			if (!XidInMVCCSnapshot(deleted_by, look->snapshot))
				return;
			break;
		case HEAPTUPLE_DELETE_IN_PROGRESS:
			writer = HeapTupleHeaderGetUpdateXid(header);
			if (TransactionIdIsCurrentTransactionId(writer))
				return;
			break;
		case HEAPTUPLE_INSERT_IN_PROGRESS:
			writer = HeapTupleHeaderGetXmin(header);
			break;
		case HEAPTUPLE_LIVE:
			break;
	}

	value = DatumGetInt64(heap_getattr(version, look->attnum, look->desc, &isnull));
	look->most = look->any ? Max(look->most, value) : value;
	look->any = true;
	is_seen = is_ours || HeapTupleSatisfiesVisibility(version, look->snapshot, buffer);
	if (is_seen)
		look->least = value;
	if (!is_ours && !(is_seen && state == HEAPTUPLE_LIVE))
	{
		look->is_open = true;
		look->range->is_open = true;
		if (TransactionIdIsValid(writer))
			look->range->writer = writer;
	}
}

static void
look_at(HeapTuple version, Buffer buffer, void *state)
{
	Look	   *look = state;

	if (version)
	{
		look_at_version(look, version, buffer);
		return;
	}
	if (look->any)
	{
		/* What rebuild() takes off may come, or not. */
		look->range->most += look->is_open ? Max(look->most, 0) : look->most;
		look->range->least += look->least;
	}
	look->any = look->is_open = false;
	look->least = 0;
}

/*
 * Add to `range` what column `attnum` of the rows whose key begins with the
 * first nkeys columns of `key`, all bigint or date, comes to in all.  Called
 * after bounded_enter(); the older the run's snapshot, the wider the range.
 */
void
bounded_look(Books *books, TableId id, const CounterKey *key, int nkeys,
			 AttrNumber attnum, SumRange *range)
{
	Table	   *table = books_table(books, id);
	Datum		datum[COUNTER_MAX_KEYS];
	Look		look = {
		.snapshot = books->snapshot,
		.desc = RelationGetDescr(table->rel),
		.attnum = attnum,
		.range = range
	};

	for (int i = 0; i < nkeys; i++)
		datum[i] = counters_key_datum(table, i, key->column[i]);
	table_each_version(books, table, nkeys, datum, look_at, &look);
}

/*
 * After bounded_leave(): wait until an open sum may be another one, and have
 * the run see it.
 */
void
bounded_wait(Books *books, const SumRange *range)
{
	CHECK_FOR_INTERRUPTS();
	if (TransactionIdIsValid(range->writer))
		XactLockTableWait(range->writer, NULL, NULL, XLTW_None);
	books_see_others(books);
}
