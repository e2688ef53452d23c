/*
 * rewards.c
 *	  Frozen reward rows, written many at a time.
 *
 * Rows go to the heap in batches; the primary key takes them in order, since
 * payments are numbered as they arrive.  The second index, by beneficiary,
 * would be touched at random: a large run gathers its entries and feeds them
 * sorted, which was 11 % faster and saves WAL (docs/performance.md).
 */
#include "rewards.h"

#include "catalog/index.h"
#include "catalog/pg_am_d.h"
#include "executor/executor.h"
#include "miscadmin.h"
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

/* Index entries gathered before they are sorted and written: 32 MB. */
#define MAX_MEMBER_ENTRIES	(1024 * 1024)

/* An entry of index reward_member (program_id, member_id, reward_id). */
typedef struct MemberEntry
{
	int64		program_id;
	int64		member_id;
	int64		reward_id;
	ItemPointerData tid;
} MemberEntry;

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
	int			member_index;	/* its number among the table's indexes, or -1 */
	MemberEntry *entries;
	int			nentries;
	int			entries_size;
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
	rewards->member_index = -1;
	if (npayments >= LARGE_RUN)
	{
		MemoryContext old = MemoryContextSwitchTo(books->context);

		rewards->bulk = GetBulkInsertState();
		rewards->batch_context = AllocSetContextCreate(books->context,
													   "referral rewards",
													   ALLOCSET_DEFAULT_SIZES);
		MemoryContextSwitchTo(old);
	}
	return rewards;
}

/* Is this index reward_member as install() made it? */
static bool
is_member_index(Relation index, IndexInfo *info)
{
	return !index->rd_index->indisunique && info->ii_NumIndexAttrs == 3 &&
		info->ii_IndexAttrNumbers[0] == REWARD_PROGRAM_ID &&
		info->ii_IndexAttrNumbers[1] == REWARD_MEMBER_ID &&
		info->ii_IndexAttrNumbers[2] == REWARD_REWARD_ID &&
		info->ii_Predicate == NIL && index->rd_rel->relam == BTREE_AM_OID;
}

static void
open_table(Rewards *rewards)
{
	ResultRelInfo *indexes;

	rewards->table = books_table(rewards->books, TABLE_REWARD);
	indexes = table_indexes(rewards->books, rewards->table);
	for (int i = 0; rewards->bulk && i < indexes->ri_NumIndices; i++)
	{
		if (is_member_index(indexes->ri_IndexRelationDescs[i],
							indexes->ri_IndexRelationInfo[i]))
			rewards->member_index = i;
	}
}

static int
compare_entries(const void *a, const void *b)
{
	const MemberEntry *x = a;
	const MemberEntry *y = b;

	if (x->program_id != y->program_id)
		return x->program_id < y->program_id ? -1 : 1;
	if (x->member_id != y->member_id)
		return x->member_id < y->member_id ? -1 : 1;
	return (x->reward_id > y->reward_id) - (x->reward_id < y->reward_id);
}

static void
write_entries(Rewards *rewards)
{
	ResultRelInfo *indexes = rewards->table->indexes;
	Relation	index = indexes->ri_IndexRelationDescs[rewards->member_index];
	IndexInfo  *info = indexes->ri_IndexRelationInfo[rewards->member_index];
	bool		isnull[3] = {false, false, false};

	qsort(rewards->entries, rewards->nentries, sizeof(MemberEntry), compare_entries);
	for (int i = 0; i < rewards->nentries; i++)
	{
		MemberEntry *entry = &rewards->entries[i];
		Datum		values[3] = {Int64GetDatum(entry->program_id),
			Int64GetDatum(entry->member_id),
		Int64GetDatum(entry->reward_id)};

		CHECK_FOR_INTERRUPTS();
		index_insert(index, values, isnull, &entry->tid, rewards->table->rel,
					 UNIQUE_CHECK_NO, false, info);
	}
	rewards->nentries = 0;
}

static void
gather_entry(Rewards *rewards, TupleTableSlot *slot)
{
	MemberEntry *entry;

	if (rewards->nentries == rewards->entries_size)
	{
		Size		size = rewards->entries_size ? 2 * rewards->entries_size : REWARD_BATCH;

		rewards->entries = rewards->entries
			? repalloc_huge(rewards->entries, size * sizeof(MemberEntry))
			: MemoryContextAlloc(rewards->books->context, size * sizeof(MemberEntry));
		rewards->entries_size = size;
	}
	entry = &rewards->entries[rewards->nentries++];
	entry->program_id = DatumGetInt64(slot->tts_values[REWARD_PROGRAM_ID - 1]);
	entry->member_id = DatumGetInt64(slot->tts_values[REWARD_MEMBER_ID - 1]);
	entry->reward_id = DatumGetInt64(slot->tts_values[REWARD_REWARD_ID - 1]);
	entry->tid = slot->tts_tid;
}

/* Write the batch with the index by beneficiary left for later. */
static void
write_large_batch(Rewards *rewards)
{
	ResultRelInfo *indexes = rewards->table->indexes;
	EState	   *estate = rewards->books->estate;

	table_multi_insert(rewards->table->rel, rewards->slots, rewards->nslots,
					   rewards->books->command, 0, rewards->bulk);
	for (int n = 0; n < indexes->ri_NumIndices; n++)
	{
		Relation	index = indexes->ri_IndexRelationDescs[n];
		IndexInfo  *info = indexes->ri_IndexRelationInfo[n];

		for (int i = 0; i < rewards->nslots; i++)
		{
			TupleTableSlot *slot = rewards->slots[i];
			Datum		values[INDEX_MAX_KEYS];
			bool		isnull[INDEX_MAX_KEYS];

			if (n == rewards->member_index)
			{
				gather_entry(rewards, slot);
				continue;
			}
			GetPerTupleExprContext(estate)->ecxt_scantuple = slot;
			FormIndexDatum(info, slot, estate, values, isnull);
			index_insert(index, values, isnull, &slot->tts_tid,
						 rewards->table->rel,
						 index->rd_index->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO,
						 false, info);
		}
	}
	if (rewards->nentries >= MAX_MEMBER_ENTRIES)
		write_entries(rewards);
}

/* Are there indexes that only ExecInsertIndexTuples knows how to fill? */
static bool
has_foreign_index(Rewards *rewards)
{
	ResultRelInfo *indexes = rewards->table->indexes;

	for (int i = 0; i < indexes->ri_NumIndices; i++)
	{
		if (indexes->ri_IndexRelationInfo[i]->ii_Predicate != NIL ||
			indexes->ri_IndexRelationInfo[i]->ii_ExclusionOps != NULL)
			return true;
	}
	return false;
}

static void
write_batch(Rewards *rewards)
{
	if (rewards->nslots == 0)
		return;
	if (rewards->member_index >= 0 && !has_foreign_index(rewards))
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
	if (rewards->nentries > 0)
		write_entries(rewards);
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
