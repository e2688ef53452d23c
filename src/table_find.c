/*
 * table_find.c
 *	  The engine's tables: find a row by its key, lock it.
 *
 * The second part of tables.c, whose rules hold here, too.
 */
#include "tables.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/smgr.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

/* A quarter of a page: half of what counters keep free (040_counter.sql). */
#define PRUNE_BELOW		(BLCKSZ / 4)

/* Is the block there?  No lseek() for one that was, since the last truncation. */
static bool
block_exists(Relation rel, BlockNumber block)
{
	BlockNumber nblocks = RelationGetSmgr(rel)->smgr_cached_nblocks[MAIN_FORKNUM];

	if (nblocks != InvalidBlockNumber && block < nblocks)
		return true;
	return block < RelationGetNumberOfBlocks(rel);
}

/*
 * Fetch the row that an index entry finds at `root` into table->row, if there
 * is one that the snapshot sees; *all_dead says that nobody will see one again.
 *
 * As an index scan does, but for pruning: that happens there as soon as a page
 * has less room than its fill factor keeps, that is, after each update.  Here
 * dead versions may fill half of that room first, which makes one pruning, and
 * its WAL record, of many.
 */
static bool
fetch_at(Table *table, Snapshot snapshot, const ItemPointerData *root,
		 bool *all_dead)
{
	HeapTuple	tuple = &((BufferHeapTupleTableSlot *) table->row)->base.tupdata;
	ItemPointerData tid = *root;
	Buffer		buffer;
	bool		found;

	ExecClearTuple(table->row);
	buffer = ReadBuffer(table->rel, ItemPointerGetBlockNumber(root));
	if (PageGetExactFreeSpace(BufferGetPage(buffer)) < PRUNE_BELOW)
		heap_page_prune_opt(table->rel, buffer);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	found = heap_hot_search_buffer(&tid, table->rel, buffer, snapshot, tuple,
								   all_dead, true);
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	if (!found)
	{
		ReleaseBuffer(buffer);
		return false;
	}
	ExecStorePinnedBufferHeapTuple(tuple, table->row, buffer);
	table->root = *root;
	return true;
}

/* Begin to look for rows whose key begins with key[0 .. nkeys-1]. */
static void
begin_find(Books *books, Table *table, int nkeys, const Datum *key)
{
	if (!table->scan[nkeys])
	{
		MemoryContext old = MemoryContextSwitchTo(books->context);

		table->scan[nkeys] = index_beginscan(table->rel, table_key(table),
											 books->snapshot, nkeys, 0);
		MemoryContextSwitchTo(old);
	}
	for (int i = 0; i < nkeys; i++)
		table->scankey[i].sk_argument = key[i];
	index_rescan(table->scan[nkeys], table->scankey, nkeys, NULL, 0);
}

/* The next row of the scan in that direction, into table->row. */
static bool
scan_next(Table *table, IndexScanDesc scan, ScanDirection direction)
{
	ItemPointer tid;

	while ((tid = index_getnext_tid(scan, direction)) != NULL)
	{
		if (fetch_at(table, scan->xs_snapshot, tid, &scan->kill_prior_tuple))
			return true;
	}
	return false;
}

/*
 * Find the first row whose key begins with key[0 .. nkeys-1]; it is then in
 * table->row.  Returns false when there is none.
 */
bool
table_find(Books *books, Table *table, int nkeys, const Datum *key)
{
	begin_find(books, table, nkeys, key);
	return scan_next(table, table->scan[nkeys], ForwardScanDirection);
}

/*
 * Go on to the next row with the same leading keys, in the order of the key.
 */
bool
table_find_next(Table *table, int nkeys)
{
	return scan_next(table, table->scan[nkeys], ForwardScanDirection);
}

/* Some rows that a scan found, in lists of those whose blocks have the same hash. */
typedef struct FoundRows
{
	int			nrows;
	ItemPointerData tid[512];
	int16		next[512];		/* in the list; -1 ends it */
	int16		first[256];		/* of the list, by hash */
} FoundRows;

/* Gather the next rows; false when these are the last. */
static bool
gather_rows(IndexScanDesc scan, FoundRows *found)
{
	ItemPointer tid;

	found->nrows = 0;
	memset(found->first, -1, sizeof(found->first));
	while (found->nrows < (int) lengthof(found->tid) &&
		   (tid = index_getnext_tid(scan, ForwardScanDirection)) != NULL)
	{
		int16	   *first = &found->first[ItemPointerGetBlockNumber(tid) %
										  lengthof(found->first)];

		found->tid[found->nrows] = *tid;
		found->next[found->nrows] = *first;
		*first = found->nrows++;
	}
	return found->nrows == lengthof(found->tid);
}

/* Where an index entry leads to, on a page on which everybody sees every row. */
static bool
visible_at(Page page, OffsetNumber root, HeapTuple row)
{
	ItemId		item = PageGetItemId(page, root);

	if (ItemIdIsRedirected(item))
		item = PageGetItemId(page, ItemIdGetRedirect(item));
	if (!ItemIdIsNormal(item))
		return false;
	row->t_data = (HeapTupleHeader) PageGetItem(page, item);
	return true;
}

static void
visit_rows(Books *books, Table *table, FoundRows *found,
		   RowVisitor visit, void *state)
{
	Buffer		buffer = InvalidBuffer;
	BlockNumber block = InvalidBlockNumber;
	bool		all_visible = false;

	for (int list = 0; list < (int) lengthof(found->first); list++)
	{
		for (int i = found->first[list]; i >= 0; i = found->next[i])
		{
			ItemPointer tid = &found->tid[i];
			HeapTupleData row;

			if (block != ItemPointerGetBlockNumber(tid))
			{
				if (BufferIsValid(buffer))
					UnlockReleaseBuffer(buffer);
				block = ItemPointerGetBlockNumber(tid);
				buffer = ReadBuffer(table->rel, block);
				LockBuffer(buffer, BUFFER_LOCK_SHARE);
				/* As in heapgetpage(); SERIALIZABLE has to be told of each row. */
				all_visible = PageIsAllVisible(BufferGetPage(buffer)) &&
					!books->snapshot->takenDuringRecovery && !IsolationIsSerializable();
			}
			if (all_visible
				? visible_at(BufferGetPage(buffer), ItemPointerGetOffsetNumber(tid), &row)
				: heap_hot_search_buffer(tid, table->rel, buffer, books->snapshot, &row,
										 NULL, true))
				visit(GETSTRUCT(&row), HeapTupleHeaderGetNatts(row.t_data), state);
		}
	}
	if (BufferIsValid(buffer))
		UnlockReleaseBuffer(buffer);
}

/*
 * Visit each row whose key begins with key[0 .. nkeys-1], in no order.  For sums
 * over many: a page is asked for and locked once for all of its rows, and no
 * page of the index meanwhile.
 */
void
table_each(Books *books, Table *table, int nkeys, const Datum *key,
		   RowVisitor visit, void *state)
{
	FoundRows	found;
	bool		more;

	begin_find(books, table, nkeys, key);
	do
	{
		CHECK_FOR_INTERRUPTS();
		more = gather_rows(table->scan[nkeys], &found);
		visit_rows(books, table, &found, visit, state);
	} while (more);
}

/*
 * Find the last row, in the order of the key, of those that table_find() finds.
 */
bool
table_find_last(Books *books, Table *table, int nkeys, const Datum *key)
{
	begin_find(books, table, nkeys, key);
	return scan_next(table, table->scan[nkeys], BackwardScanDirection);
}

/*
 * Find the first row whose key begins with key[0 .. nkeys-1] and goes on with a
 * bigint from `from` to `to`; table_find_range_next() finds the others, in the
 * order of the key.
 */
bool
table_find_range(Books *books, Table *table, int nkeys, const Datum *key,
				 int64 from, int64 to)
{
	return table_find_range_by(books, table, NULL, nkeys, key, from, to);
}

/* Open the table's index of that name. */
static Relation
open_index(Books *books, const Table *table, const char *name)
{
	Oid			oid = get_relname_relid(name, books->namespace);

	if (!OidIsValid(oid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index of the books is missing"),
				 errdetail("Table \"%s\" has no index \"%s\".",
						   RelationGetRelationName(table->rel), name),
				 errhint("Create it as install() does.")));
	return index_open(oid, AccessShareLock);
}

/*
 * The same by another index of bigints than the primary key, unless `index` is
 * NULL.
 */
bool
table_find_range_by(Books *books, Table *table, const char *index, int nkeys,
					const Datum *key, int64 from, int64 to)
{
	Relation	primary = index ? NULL : table_key(table);
	ScanKeyData scankey[TABLE_MAX_KEYS + 1];

	for (int i = 0; i < nkeys; i++)
	{
		if (index)
			ScanKeyInit(&scankey[i], i + 1, BTEqualStrategyNumber, F_INT8EQ, key[i]);
		else
			scankey[i] = table->scankey[i];
		scankey[i].sk_argument = key[i];
	}
	ScanKeyInit(&scankey[nkeys], nkeys + 1, BTGreaterEqualStrategyNumber,
				F_INT8GE, Int64GetDatum(from));
	ScanKeyInit(&scankey[nkeys + 1], nkeys + 1, BTLessEqualStrategyNumber,
				F_INT8LE, Int64GetDatum(to));
	if (!table->range || table->range_keys != nkeys || index ||
		table->range_index != primary)
	{
		MemoryContext old = MemoryContextSwitchTo(books->context);

		table_end_range(table);
		table->range_index = index ? open_index(books, table, index) : primary;
		table->range = index_beginscan(table->rel, table->range_index,
									   books->snapshot, nkeys + 2, 0);
		table->range_keys = nkeys;
		MemoryContextSwitchTo(old);
	}
	index_rescan(table->range, scankey, nkeys + 2, NULL, 0);
	return table_find_range_next(table);
}

bool
table_find_range_next(Table *table)
{
	return scan_next(table, table->range, ForwardScanDirection);
}

/*
 * As table_find(), by another index than that of the primary key.
 */
bool
table_find_by(Books *books, Table *table, const char *index, int nkeys,
			  const Datum *key)
{
	Relation	rel = open_index(books, table, index);
	IndexScanDesc scan = index_beginscan(table->rel, rel, books->snapshot, nkeys, 0);
	ScanKeyData scankey[TABLE_MAX_KEYS];
	bool		found;

	for (int i = 0; i < nkeys; i++)
	{
		init_equality(&scankey[i], rel, i);
		scankey[i].sk_argument = key[i];
	}
	index_rescan(scan, scankey, nkeys, NULL, 0);
	found = scan_next(table, scan, ForwardScanDirection);
	index_endscan(scan);
	index_close(rel, NoLock);
	return found;
}

/*
 * Was the row in table->row written by this transaction?
 */
bool
table_row_is_ours(Table *table)
{
	HeapTupleHeader header =
	((BufferHeapTupleTableSlot *) table->row)->base.tuple->t_data;

	return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(header));
}

/*
 * Fetch the row version at `tid`, one that this run saw, into table->row if the
 * run can still see it.
 */
bool
table_fetch(Books *books, Table *table, ItemPointer tid)
{
	return block_exists(table->rel, ItemPointerGetBlockNumber(tid)) &&
		table_tuple_fetch_row_version(table->rel, tid, books->snapshot,
									  table->row);
}

static Form_pg_attribute
key_attribute(const Table *table, int i)
{
	return TupleDescAttr(RelationGetDescr(table->rel), table->key_column[i] - 1);
}

static uint32
key_hash(const Table *table, int nkeys, const Datum *key)
{
	uint32		hash = murmurhash32(table->rel->rd_node.relNode + nkeys);

	for (int i = 0; i < nkeys; i++)
	{
		Form_pg_attribute attribute = key_attribute(table, i);

		hash = hash_combine(hash, attribute->attbyval
							? murmurhash32((uint32) key[i] ^ (uint32) (key[i] >> 32))
							: datum_image_hash(key[i], false, attribute->attlen));
	}
	return hash;
}

static bool
row_has_key(Table *table, int nkeys, const Datum *key)
{
	for (int i = 0; i < nkeys; i++)
	{
		bool		isnull;
		Datum		value = row_datum(table, table->key_column[i], &isnull);

		if (isnull ||
			!datum_image_eq(value, key[i], key_attribute(table, i)->attbyval,
							key_attribute(table, i)->attlen))
			return false;
	}
	return true;
}

/*
 * Find a row whose key begins with key[0 .. nkeys-1], any of them if there are
 * several; it is then in table->row.  Returns false when there is none.  Where
 * it was found is remembered, and looked at first the next time.
 */
bool
table_find_any(Books *books, Table *table, int nkeys, const Datum *key)
{
	RememberedRow *known;
	bool		all_dead;

	table->hash = key_hash(table, nkeys, key);
	known = row_recall(table->hash);
	if (known && block_exists(table->rel, ItemPointerGetBlockNumber(&known->root)) &&
		fetch_at(table, books->snapshot, &known->root, &all_dead) &&
		row_has_key(table, nkeys, key))
		return true;
	if (!table_find(books, table, nkeys, key))
		return false;
	(void) table_remember(table);
	return true;
}

/*
 * The same for a key of which index_find_sorted() has told, instead of what is
 * remembered.
 */
bool
table_find_told(Books *books, Table *table, int nkeys, const Datum *key,
				IndexFind *told)
{
	bool		all_dead;

	table->hash = key_hash(table, nkeys, key);
	if (told->absent)
		return false;
	if (ItemPointerIsValid(&told->tid) &&
		block_exists(table->rel, ItemPointerGetBlockNumber(&told->tid)) &&
		fetch_at(table, books->snapshot, &told->tid, &all_dead) &&
		row_has_key(table, nkeys, key))
		return true;
	return table_find(books, table, nkeys, key);
}

/*
 * Have table_find_any() with the key that it got last look at the row found or
 * written last first.
 */
RememberedRow *
table_remember(Table *table)
{
	return row_remember(table->hash, &table->root);
}

/*
 * Have table_find_any() with the first nkeys columns of a row that was just
 * inserted, which are those of its key, look there first.
 */
RememberedRow *
table_remember_new(Table *table, int nkeys, TupleTableSlot *slot)
{
	slot_getsomeattrs(slot, nkeys);
	return row_remember(key_hash(table, nkeys, slot->tts_values),
						&slot->tts_tid);
}

/*
 * Lock the row found last against other lockers and updates, waiting as long
 * as it takes; table->row then holds its latest version.  The rows that are
 * locked here are never deleted while something refers to them.
 */
void
table_lock(Books *books, Table *table)
{
	TM_FailureData failure;
	ItemPointerData tid = table->row->tts_tid;
	TM_Result	result;

	result = table_tuple_lock(table->rel, &tid, books->snapshot, table->row,
							  books->command, LockTupleNoKeyExclusive,
							  LockWaitBlock, TUPLE_LOCK_FLAG_FIND_LAST_VERSION,
							  &failure);
	if (result != TM_Ok)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("row of the books vanished"),
				 errdetail("A row of table \"%s\" was deleted while it was needed.",
						   RelationGetRelationName(table->rel))));
}
