/*
 * rewards.c
 *	  Frozen reward rows, written many at a time.
 *
 * Rows go to the heap in batches.  A large run gathers the entries of their
 * indexes, which are all bigints, and inserts them sorted (sorted_index.c).
 */
#include "rewards.h"

#include "access/hio.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "sorted_index.h"
#include "storage/bufmgr.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Column numbers of sql/model/030_payment.sql. */
enum
{
	REWARD_PROGRAM_ID = 1,
	REWARD_REWARD_ID,
	REWARD_MEMBER_ID,
	REWARD_PAYER_ID,
	REWARD_BASE_MICRO,
	REWARD_AMOUNT_MICRO,
	REWARD_FLAT_MICRO,
	REWARD_AVAILABLE_AT,
	REWARD_CREATED_AT,
	REWARD_RATE_BPS,
	REWARD_TIER,
	REWARD_LEVEL,
	REWARD_PAYMENT_ID
};

/* Column numbers of sql/model/080_grant.sql. */
enum
{
	GRANT_PROGRAM_ID = 1,
	GRANT_REWARD_ID,
	GRANT_AVAILABLE_AT
};

/* Rows per heap batch, at most. */
#define REWARD_BATCH		1000

/* From so many payments on, a run is large. */
#define LARGE_RUN			64

/* Entries of an index gathered before they are written, about: 32 MB. */
#define MAX_ENTRIES			(1024 * 1024)

/* The entries of one index that are still to be written. */
typedef struct Gathered
{
	bool		sorted;			/* index_takes_sorted(); else nothing is gathered */
	IndexEntry *entries;
	int			n;
	int			size;
} Gathered;

struct Rewards
{
	Books	   *books;
	Table	   *table;
	BulkInsertState bulk;		/* NULL in a small run */
	TupleTableSlot **slots;		/* up to batch_size of them */
	int			batch_size;
	int			nslots;
	int			slots_made;
	MemoryContext batch_context;	/* texts of the rows in slots */
	Gathered   *gathered;		/* for each index; NULL in a small run */
	RowBatch   *grants;			/* NULL until a program uses them */
};

/*
 * Begin to write rewards for about `npayments` payments.
 */
Rewards *
rewards_begin(Books *books, int64 npayments)
{
	Rewards    *rewards = MemoryContextAllocZero(books->context, sizeof(Rewards));

	rewards->books = books;
	rewards->batch_size = Min(npayments, REWARD_BATCH / (REFERRAL_MAX_LEVEL + 1)) *
		(REFERRAL_MAX_LEVEL + 1);
	rewards->slots = MemoryContextAlloc(books->context, rewards->batch_size *
										sizeof(TupleTableSlot *));
	rewards->batch_context = books->context;
	if (npayments >= LARGE_RUN)
	{
		MemoryContext old = MemoryContextSwitchTo(books->context);

		/* Its ring of buffers would have this session write the rows to disk. */
		rewards->bulk = GetBulkInsertState();
		FreeAccessStrategy(rewards->bulk->strategy);
		rewards->bulk->strategy = NULL;
		rewards->batch_context = AllocSetContextCreate(books->context,
													   "referral rewards",
													   ALLOCSET_DEFAULT_SIZES);
		MemoryContextSwitchTo(old);
	}
	return rewards;
}

/* Are there indexes that only ExecInsertIndexTuples knows how to fill? */
static bool
has_foreign_index(const ResultRelInfo *indexes)
{
	for (int i = 0; i < indexes->ri_NumIndices; i++)
	{
		const IndexInfo *info = indexes->ri_IndexRelationInfo[i];

		if (info->ii_Predicate != NIL || info->ii_ExclusionOps != NULL ||
			!info->ii_ReadyForInserts ||
			!indexes->ri_IndexRelationDescs[i]->rd_index->indimmediate)
			return true;
	}
	return false;
}

static void
open_table(Rewards *rewards)
{
	ResultRelInfo *indexes;

	rewards->table = books_table(rewards->books, TABLE_REWARD);
	indexes = table_indexes(rewards->books, rewards->table);
	if (!rewards->bulk || has_foreign_index(indexes))
		return;
	rewards->gathered = MemoryContextAllocZero(rewards->books->context,
											   indexes->ri_NumIndices * sizeof(Gathered));
	for (int i = 0; i < indexes->ri_NumIndices; i++)
		rewards->gathered[i].sorted = index_takes_sorted(rewards->table->rel,
														 indexes->ri_IndexRelationDescs[i],
														 indexes->ri_IndexRelationInfo[i]);
}

/* Write what was gathered for index number n. */
static void
write_entries(Rewards *rewards, int n)
{
	ResultRelInfo *indexes = rewards->table->indexes;
	Gathered   *gathered = &rewards->gathered[n];

	if (gathered->n > 0)
		index_insert_sorted(rewards->table->rel, indexes->ri_IndexRelationDescs[n],
							indexes->ri_IndexRelationInfo[n], gathered->entries,
							gathered->n);
	gathered->n = 0;
}

/* Gather the batch's entries for index number n. */
static void
gather_entries(Rewards *rewards, int n)
{
	IndexInfo  *info = rewards->table->indexes->ri_IndexRelationInfo[n];
	Gathered   *gathered = &rewards->gathered[n];

	if (gathered->size - gathered->n < rewards->nslots)
	{
		Size		size = gathered->size ? 2 * gathered->size : 4 * REWARD_BATCH;

		gathered->entries = gathered->entries
			? repalloc_huge(gathered->entries, size * sizeof(IndexEntry))
			: MemoryContextAlloc(rewards->books->context, size * sizeof(IndexEntry));
		gathered->size = size;
	}
	for (int i = 0; i < rewards->nslots; i++)
	{
		TupleTableSlot *slot = rewards->slots[i];
		IndexEntry *entry = &gathered->entries[gathered->n++];

		*entry = (IndexEntry) {.tid = slot->tts_tid};
		for (int k = 0; k < info->ii_NumIndexKeyAttrs; k++)
			entry->key[k] = DatumGetInt64(slot->tts_values[info->ii_IndexAttrNumbers[k] - 1]);
	}
	if (gathered->n >= MAX_ENTRIES)
		write_entries(rewards, n);
}

/* Insert the batch's entries into index number n. */
static void
insert_entries(Rewards *rewards, int n)
{
	EState	   *estate = rewards->books->estate;
	Relation	index = rewards->table->indexes->ri_IndexRelationDescs[n];
	IndexInfo  *info = rewards->table->indexes->ri_IndexRelationInfo[n];

	for (int i = 0; i < rewards->nslots; i++)
	{
		TupleTableSlot *slot = rewards->slots[i];
		Datum		values[INDEX_MAX_KEYS];
		bool		isnull[INDEX_MAX_KEYS];

		GetPerTupleExprContext(estate)->ecxt_scantuple = slot;
		FormIndexDatum(info, slot, estate, values, isnull);
		index_insert(index, values, isnull, &slot->tts_tid, rewards->table->rel,
					 index->rd_index->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO,
					 false, info);
		ResetPerTupleExprContext(estate);
	}
}

/* Write the batch, with the entries of most indexes left for later. */
static void
write_large_batch(Rewards *rewards)
{
	table_multi_insert(rewards->table->rel, rewards->slots, rewards->nslots,
					   rewards->books->command, 0, rewards->bulk);
	for (int n = 0; n < rewards->table->indexes->ri_NumIndices; n++)
	{
		if (rewards->gathered[n].sorted)
			gather_entries(rewards, n);
		else
			insert_entries(rewards, n);
	}
}

static void
write_batch(Rewards *rewards)
{
	if (rewards->nslots == 0)
		return;
	if (rewards->gathered)
		write_large_batch(rewards);
	else
		table_insert_many(rewards->books, rewards->table, rewards->slots,
						  rewards->nslots, rewards->books->command, rewards->bulk);
	for (int i = 0; i < rewards->nslots; i++)
		ExecClearTuple(rewards->slots[i]);
	rewards->nslots = 0;
	if (rewards->bulk)
		MemoryContextReset(rewards->batch_context);
}

/* Have claim_grants() find the reward. */
static void
add_grant(Rewards *rewards, const Reward *reward)
{
	TupleTableSlot *slot;

	if (!rewards->grants)
		rewards->grants = batch_begin(rewards->books, TABLE_REWARD_GRANT);
	slot = batch_row(rewards->grants);
	slot_set(slot, GRANT_PROGRAM_ID, Int64GetDatum(reward->program_id));
	slot_set(slot, GRANT_REWARD_ID, Int64GetDatum(REWARD_ID(reward->payment_no, reward->level)));
	slot_set(slot, GRANT_AVAILABLE_AT, TimestampTzGetDatum(reward->available_at));
}

/*
 * Write a reward, sooner or later before rewards_flush() returns.
 */
void
rewards_add(Rewards *rewards, const Reward *reward)
{
	TupleTableSlot *slot;
	MemoryContext old;

	if (!rewards->table)
		open_table(rewards);
	if (rewards->nslots == rewards->batch_size)
		write_batch(rewards);

	if (rewards->nslots == rewards->slots_made)
	{
		old = MemoryContextSwitchTo(rewards->books->context);
		rewards->slots[rewards->slots_made++] =
			table_slot_create(rewards->table->rel, NULL);
		MemoryContextSwitchTo(old);
	}
	slot = rewards->slots[rewards->nslots++];
	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts);
	memset(slot->tts_isnull, false, REWARD_PAYMENT_ID);

#define SET(column, datum) slot->tts_values[(column) - 1] = (datum)
	SET(REWARD_PROGRAM_ID, Int64GetDatum(reward->program_id));
	SET(REWARD_REWARD_ID, Int64GetDatum(REWARD_ID(reward->payment_no, reward->level)));
	SET(REWARD_MEMBER_ID, Int64GetDatum(reward->member_id));
	SET(REWARD_PAYER_ID, Int64GetDatum(reward->payer_id));
	SET(REWARD_BASE_MICRO, Int64GetDatum(reward->base_micro));
	SET(REWARD_AMOUNT_MICRO, Int64GetDatum(reward->amount_micro));
	SET(REWARD_FLAT_MICRO, Int64GetDatum(reward->flat_micro));
	SET(REWARD_AVAILABLE_AT, TimestampTzGetDatum(reward->available_at));
	SET(REWARD_CREATED_AT, TimestampTzGetDatum(rewards->books->now));
	SET(REWARD_RATE_BPS, Int32GetDatum(reward->rate_bps));
	SET(REWARD_TIER, Int32GetDatum(reward->tier));
	SET(REWARD_LEVEL, Int16GetDatum(reward->level));
	old = MemoryContextSwitchTo(rewards->batch_context);
	SET(REWARD_PAYMENT_ID, datumCopy(reward->payment_id, false, -1));
	MemoryContextSwitchTo(old);
#undef SET
	ExecStoreVirtualTuple(slot);
	if (reward->uses_grants)
		add_grant(rewards, reward);
}

/*
 * Write what is left; rewards_add() is not called again.
 */
void
rewards_flush(Rewards *rewards)
{
	write_batch(rewards);
	for (int n = 0; rewards->gathered && n < rewards->table->indexes->ri_NumIndices; n++)
		write_entries(rewards, n);
	if (rewards->grants)
		batch_end(rewards->grants);
	for (int i = 0; i < rewards->slots_made; i++)
		ExecDropSingleTupleTableSlot(rewards->slots[i]);
	if (rewards->bulk)
	{
		FreeBulkInsertState(rewards->bulk);
		if (rewards->table)
			table_finish_bulk_insert(rewards->table->rel, 0);
	}
}
