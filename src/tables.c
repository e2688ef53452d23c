/*
 * tables.c
 *	  The engine's tables: find a row by its key, lock it.
 *
 * This module and table_write.c, which inserts, updates and deletes, are the
 * only ones that know how rows are reached.  Above them the engine reads like
 * sections 3 and 4 of the contract; below them there is only PostgreSQL's table
 * and index access.  Going there directly, and not through
 * SQL, is what makes a payment cheap (docs/performance.md).
 *
 * Rules that hold for every caller:
 * - Reads use one MVCC snapshot, the latest at books_open() or
 *	 books_refresh(); never SnapshotDirty, which can miss a row that is being
 *	 updated.
 * - The tables are the engine's own: no triggers fire for these writes and no
 *	 privileges are asked for, so a role that may insert a payment needs no
 *	 other right.
 * - Errors leave nothing to clean up: relations, slots and snapshots belong to
 *	 the current resource owner, memory to Books.context.
 */
#include "tables.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/smgr.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* In the order of TableId. */
static const struct
{
	const char *name;
	LOCKMODE	lock;
}			table_info[TABLE_COUNT] = {
	{"program", AccessShareLock},
	{"tier", AccessShareLock},
	{"rate", AccessShareLock},
	{"campaign", RowShareLock},
	{"member", RowExclusiveLock},
	{"account", RowExclusiveLock},
	{"code", RowExclusiveLock},
	{"attribution", RowExclusiveLock},
	{"payment", RowExclusiveLock},
	{"payment_waiting", RowExclusiveLock},
	{"payment_unrewarded", RowExclusiveLock},
	{"reward", RowExclusiveLock},
	{"earning", RowExclusiveLock},
	{"paid", RowExclusiveLock},
	{"invited", RowExclusiveLock},
	{"code_use", RowExclusiveLock},
	{"campaign_spent", RowExclusiveLock},
	{"downline", RowExclusiveLock},
	{"refund", RowExclusiveLock},
	{"refund_applied", RowExclusiveLock},
	{"refund_waiting", RowExclusiveLock},
	{"write_off", RowExclusiveLock},
	{"settlement", RowExclusiveLock},
	{"reward_closed", RowExclusiveLock},
	{"reward_grant", RowExclusiveLock},
	{"funnel", RowExclusiveLock},
	{"event_pending", RowExclusiveLock},
	{"api_grant", AccessShareLock},
};

/* A quarter of a page: half of what counters keep free (040_counter.sql). */
#define PRUNE_BELOW		(BLCKSZ / 4)

/* OIDs of the tables in known_namespace; InvalidOid where not looked up yet. */
static Oid	known_namespace = InvalidOid;
static Oid	known_oid[TABLE_COUNT];

static void
forget_oids(Datum arg, Oid relid)
{
	for (int id = 0; id < TABLE_COUNT; id++)
	{
		if (relid == InvalidOid || known_oid[id] == relid)
			known_oid[id] = InvalidOid;
	}
}

/*
 * Register what this module needs per session.  Called once, from _PG_init().
 */
void
tables_init(void)
{
	CacheRegisterRelcacheCallback(forget_oids, (Datum) 0);
}

/* As table_oid(), but InvalidOid where the table is not there. */
static Oid
find_oid(Oid namespace, TableId id)
{
	if (namespace != known_namespace)
	{
		forget_oids((Datum) 0, InvalidOid);
		known_namespace = namespace;
	}
	if (!OidIsValid(known_oid[id]))
		known_oid[id] = get_relname_relid(table_info[id].name, namespace);
	return known_oid[id];
}

/*
 * Return the OID of a table in `namespace`.  Raises RF005 when the data model
 * is not there.
 */
Oid
table_oid(Oid namespace, TableId id)
{
	Oid			oid = find_oid(namespace, id);

	if (!OidIsValid(oid))
		ereport(ERROR,
				(errcode(MAKE_SQLSTATE('R', 'F', '0', '0', '5')),
				 errmsg("not_installed"),
				 errdetail("Table \"%s\" of the data model does not exist.",
						   table_info[id].name),
				 errhint("Run CALL referral.install().")));
	return oid;
}

/*
 * Has the data model the table?  An older one may not.
 */
bool
table_is_there(Oid namespace, TableId id)
{
	return OidIsValid(find_oid(namespace, id));
}

/*
 * Has the table no page?  Much cheaper than to look for a row.  One that an
 * older data model has not got is empty, too.
 */
bool
table_is_empty(Oid namespace, TableId id)
{
	Oid			oid = find_oid(namespace, id);
	Relation	rel;
	bool		is_empty;

	if (!OidIsValid(oid))
		return true;
	rel = table_open(oid, AccessShareLock);
	is_empty = RelationGetNumberOfBlocks(rel) == 0;
	table_close(rel, AccessShareLock);
	return is_empty;
}

static Books *
new_books(Oid namespace)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "referral books",
												  ALLOCSET_DEFAULT_SIZES);
	Books	   *books = MemoryContextAllocZero(context, sizeof(Books));

	books->namespace = namespace;
	books->context = context;
	books->now = GetCurrentTransactionStartTimestamp();
	books->append_only = IsolationUsesXactSnapshot();
	return books;
}

/*
 * Begin a run over the tables in `namespace`.  The caller ends it with
 * books_close().  What the transaction wrote so far is visible to it.
 */
Books *
books_open(Oid namespace)
{
	Books	   *books = new_books(namespace);

	books_refresh(books);
	return books;
}

/*
 * Begin a run that only reads, and sees what the query sees that it is part of.
 */
Books *
books_read(Oid namespace)
{
	Books	   *books = new_books(namespace);

	books->read_only = true;
	books->snapshot = RegisterSnapshot(GetActiveSnapshot());
	return books;
}

static void
end_range(Table *table)
{
	if (!table->range)
		return;
	index_endscan(table->range);
	table->range = NULL;
	if (table->range_index != table->key)
		index_close(table->range_index, NoLock);
}

/*
 * End the scans that were begun, since they have the snapshot of then.
 */
void
books_forget_scans(Books *books)
{
	for (int id = 0; id < TABLE_COUNT; id++)
	{
		Table	   *table = books->table[id];

		for (int n = 0; table && n <= TABLE_MAX_KEYS; n++)
		{
			if (table->scan[n])
				index_endscan(table->scan[n]);
			table->scan[n] = NULL;
		}
		if (table)
			end_range(table);
	}
}

/*
 * See what was committed, and what this transaction wrote, up to now.  For
 * after locks were waited for; scans begun earlier are ended.
 */
void
books_refresh(Books *books)
{
	books_forget_scans(books);
	if (books->snapshot)
		UnregisterSnapshot(books->snapshot);
	CommandCounterIncrement();
	books->snapshot = RegisterSnapshot(GetLatestSnapshot());
	books->command = GetCurrentCommandId(true);
}

static void
close_table(Table *table)
{
	for (int n = 0; n <= TABLE_MAX_KEYS; n++)
	{
		if (table->scan[n])
			index_endscan(table->scan[n]);
	}
	end_range(table);
	ExecDropSingleTupleTableSlot(table->row);
	if (table->next)
		ExecDropSingleTupleTableSlot(table->next);
	for (int i = 0; table->indexes && i < table->indexes->ri_NumIndices; i++)
		index_close(table->indexes->ri_IndexRelationDescs[i], NoLock);
	if (table->key)
		index_close(table->key, NoLock);
	table_close(table->rel, NoLock);
}

/*
 * End the run: give everything back but the locks on tables and rows.
 */
void
books_close(Books *books)
{
	for (int id = 0; id < TABLE_COUNT; id++)
	{
		if (books->table[id])
			close_table(books->table[id]);
	}
	UnregisterSnapshot(books->snapshot);
	if (books->estate)
		FreeExecutorState(books->estate);
	MemoryContextDelete(books->context);
}

static RegProcedure
equality_of(Oid type)
{
	switch (type)
	{
		case INT2OID:
			return F_INT2EQ;
		case INT4OID:
			return F_INT4EQ;
		case INT8OID:
			return F_INT8EQ;
		case DATEOID:
			return F_DATE_EQ;
		case TIMESTAMPTZOID:
			return F_TIMESTAMPTZ_EQ;
		default:
			Assert(type == TEXTOID);
			return F_TEXTEQ;
	}
}

/* "Column i of the index = argument". */
static void
init_equality(ScanKey scankey, Relation index, int i)
{
	Oid			type = TupleDescAttr(RelationGetDescr(index), i)->atttypid;

	ScanKeyEntryInitialize(scankey, 0, i + 1, BTEqualStrategyNumber, type,
						   index->rd_indcollation[i], equality_of(type), (Datum) 0);
}

/*
 * Return the table, opened and locked at its first use in this run.
 */
Table *
books_table(Books *books, TableId id)
{
	Table	   *table = books->table[id];
	MemoryContext old;

	if (table)
		return table;

	old = MemoryContextSwitchTo(books->context);
	table = palloc0(sizeof(Table));
	table->rel = table_open(table_oid(books->namespace, id),
							books->read_only ? AccessShareLock : table_info[id].lock);
	if (table->rel->rd_tableam != GetHeapamTableAmRoutine())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table of the books is not a heap"),
				 errdetail("Table \"%s\" has another access method.",
						   RelationGetRelationName(table->rel)),
				 errhint("Use ALTER TABLE ... SET ACCESS METHOD heap.")));
	if (id != TABLE_API_GRANT)	/* a few rows without a key */
	{
		table->key = index_open(RelationGetPrimaryKeyIndex(table->rel),
								AccessShareLock);
		table->nkeys = IndexRelationGetNumberOfKeyAttributes(table->key);
		Assert(table->nkeys <= TABLE_MAX_KEYS);
		for (int i = 0; i < table->nkeys; i++)
			init_equality(&table->scankey[i], table->key, i);
	}
	table->row = table_slot_create(table->rel, NULL);
	books->table[id] = table;
	MemoryContextSwitchTo(old);
	return table;
}

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
	for (int i = 0; i < nkeys; i++)
		table->scankey[i].sk_argument = key[i];
	if (!table->scan[nkeys])
	{
		MemoryContext old = MemoryContextSwitchTo(books->context);

		table->scan[nkeys] = index_beginscan(table->rel, table->key,
											 books->snapshot, nkeys, 0);
		MemoryContextSwitchTo(old);
	}
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

/*
 * Visit each row whose key begins with key[0 .. nkeys-1], in no order.  For sums
 * over many: rows of one page are looked at under one lock of it, which takes
 * half as long as table_find_next().
 */
void
table_each(Books *books, Table *table, int nkeys, const Datum *key,
		   void (*visit) (HeapTuple row, TupleDesc desc, void *state), void *state)
{
	ItemPointerData tids[500];
	int			ntids;

	begin_find(books, table, nkeys, key);
	do
	{
		Buffer		buffer = InvalidBuffer;
		ItemPointer tid;

		CHECK_FOR_INTERRUPTS();
		/* No page of the index is asked for while one of the table is locked. */
		for (ntids = 0; ntids < (int) lengthof(tids); ntids++)
		{
			tid = index_getnext_tid(table->scan[nkeys], ForwardScanDirection);
			if (!tid)
				break;
			tids[ntids] = *tid;
		}
		for (int i = 0; i < ntids; i++)
		{
			BlockNumber block = ItemPointerGetBlockNumber(&tids[i]);
			HeapTupleData row;

			if (!BufferIsValid(buffer) || BufferGetBlockNumber(buffer) != block)
			{
				if (BufferIsValid(buffer))
					UnlockReleaseBuffer(buffer);
				buffer = ReadBuffer(table->rel, block);
				LockBuffer(buffer, BUFFER_LOCK_SHARE);
			}
			if (heap_hot_search_buffer(&tids[i], table->rel, buffer, books->snapshot,
									   &row, NULL, true))
				visit(&row, RelationGetDescr(table->rel), state);
		}
		if (BufferIsValid(buffer))
			UnlockReleaseBuffer(buffer);
	} while (ntids == lengthof(tids));
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
		table->range_index != table->key)
	{
		MemoryContext old = MemoryContextSwitchTo(books->context);

		end_range(table);
		table->range_index = index ? open_index(books, table, index) : table->key;
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
	return TupleDescAttr(RelationGetDescr(table->key), i);
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
		Datum		value = row_datum(table, table->key->rd_index->indkey.values[i], &isnull);

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
