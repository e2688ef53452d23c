/*
 * tables.c
 *	  The engine's tables: which they are, opened for one run.
 *
 * This module, table_find.c, which finds and locks rows, and table_write.c,
 * which inserts, updates and deletes, are the only ones that know how rows are
 * reached.  Above them the engine reads like
 * sections 3 and 4 of the contract; below them there is only PostgreSQL's table
 * and index access.  Going there directly, and not through
 * SQL, is what makes a payment cheap (docs/performance.md).
 *
 * Rules that hold for every caller:
 * - Reads use one MVCC snapshot, the latest at books_open() or
 *	 books_refresh(); never SnapshotDirty, which can miss a row that is being
 *	 updated.  Only bounded.c looks at what no snapshot shows.
 * - The tables are the engine's own: no triggers fire for these writes and no
 *	 privileges are asked for, so a role that may insert a payment needs no
 *	 other right.
 * - Errors leave nothing to clean up: relations, slots and snapshots belong to
 *	 the current resource owner, memory to Books.context.
 */
#include "tables.h"

#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "executor/executor.h"
#include "storage/bufmgr.h"
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

/* What the session knows of the tables in known_namespace. */
typedef struct KnownTable
{
	Oid			oid;			/* InvalidOid where not looked up yet */
	bool		is_empty;		/* see table_is_empty() */
	int			nkeys;			/* 0 where not looked up yet */
	AttrNumber	key_column[TABLE_MAX_KEYS];
} KnownTable;

static Oid	known_namespace = InvalidOid;
static KnownTable known[TABLE_COUNT];

static void
forget_tables(Datum arg, Oid relid)
{
	for (int id = 0; id < TABLE_COUNT; id++)
	{
		if (relid == InvalidOid || known[id].oid == relid)
			known[id] = (KnownTable) {0};
	}
}

/*
 * Register what this module needs per session.  Called once, from _PG_init().
 */
void
tables_init(void)
{
	CacheRegisterRelcacheCallback(forget_tables, (Datum) 0);
}

/* As table_oid(), but InvalidOid where the table is not there. */
static Oid
find_oid(Oid namespace, TableId id)
{
	if (namespace != known_namespace)
	{
		forget_tables((Datum) 0, InvalidOid);
		known_namespace = namespace;
	}
	if (!OidIsValid(known[id].oid))
		known[id].oid = get_relname_relid(table_info[id].name, namespace);
	return known[id].oid;
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
 * Has the table no page?  The session remembers that, which costs nothing the
 * next time; who inserts a row calls table_announce().  A table that an older
 * data model has not got is empty, too.
 */
bool
table_is_empty(Oid namespace, TableId id)
{
	Oid			oid;
	Relation	rel;

	AcceptInvalidationMessages();
	oid = find_oid(namespace, id);
	if (!OidIsValid(oid) || known[id].is_empty)
		return true;
	rel = table_open(oid, AccessShareLock);
	known[id].oid = oid;		/* opening may have made the session forget it */
	known[id].is_empty = RelationGetNumberOfBlocks(rel) == 0;
	table_close(rel, AccessShareLock);
	return known[id].is_empty;
}

/*
 * A row was inserted: have every session learn at this transaction's commit
 * that the table is not empty any more, forget_tables().  Each insert tells,
 * because the one that brought the first page may be undone.
 */
void
table_announce(const Table *table)
{
	CacheInvalidateRelcache(table->rel);
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

/*
 * End the scan of a range, if one was begun.
 */
void
table_end_range(Table *table)
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
			table_end_range(table);
	}
}

/*
 * See what others committed up to now, but nothing of what this run wrote.
 */
void
books_see_others(Books *books)
{
	books_forget_scans(books);
	if (books->snapshot)
		UnregisterSnapshot(books->snapshot);
	books->snapshot = RegisterSnapshot(GetLatestSnapshot());
}

/*
 * See what was committed, and what this transaction wrote, up to now.  For
 * after locks were waited for; scans begun earlier are ended.
 */
void
books_refresh(Books *books)
{
	CommandCounterIncrement();
	books_see_others(books);
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
	table_end_range(table);
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
void
init_equality(ScanKey scankey, Relation index, int i)
{
	Oid			type = TupleDescAttr(RelationGetDescr(index), i)->atttypid;

	ScanKeyEntryInitialize(scankey, 0, i + 1, BTEqualStrategyNumber, type,
						   index->rd_indcollation[i], equality_of(type), (Datum) 0);
}

/*
 * Return the index of the table's primary key.  It is opened by the first row
 * that is looked for; one that is remembered needs none.
 */
Relation
table_key(Table *table)
{
	if (!table->key)
	{
		table->key = index_open(RelationGetPrimaryKeyIndex(table->rel), AccessShareLock);
		for (int i = 0; i < table->nkeys; i++)
			init_equality(&table->scankey[i], table->key, i);
	}
	return table->key;
}

/* Tell the table which its key columns are. */
static void
set_key_columns(Table *table, TableId id)
{
	if (known[id].nkeys == 0)
	{
		Relation	key = index_open(RelationGetPrimaryKeyIndex(table->rel), AccessShareLock);

		known[id].nkeys = IndexRelationGetNumberOfKeyAttributes(key);
		Assert(known[id].nkeys <= TABLE_MAX_KEYS);
		for (int i = 0; i < known[id].nkeys; i++)
			known[id].key_column[i] = key->rd_index->indkey.values[i];
		index_close(key, NoLock);
	}
	table->nkeys = known[id].nkeys;
	memcpy(table->key_column, known[id].key_column, sizeof(table->key_column));
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
		set_key_columns(table, id);
	table->row = table_slot_create(table->rel, NULL);
	books->table[id] = table;
	MemoryContextSwitchTo(old);
	return table;
}
