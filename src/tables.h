/*
 * tables.h
 *	  The engine's tables: find a row by its key, lock, insert, update.
 */
#ifndef REFERRAL_TABLES_H
#define REFERRAL_TABLES_H

#include "referral.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/skey.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "nodes/execnodes.h"
#include "row_memory.h"
#include "sorted_index.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

typedef enum TableId
{
	TABLE_PROGRAM,
	TABLE_TIER,
	TABLE_RATE,
	TABLE_CAMPAIGN,
	TABLE_MEMBER,
	TABLE_ACCOUNT,
	TABLE_CODE,
	TABLE_ATTRIBUTION,
	TABLE_PAYMENT,
	TABLE_PAYMENT_WAITING,
	TABLE_PAYMENT_UNREWARDED,
	TABLE_REWARD,
	TABLE_EARNING,
	TABLE_PAID,
	TABLE_INVITED,
	TABLE_CODE_USE,
	TABLE_CAMPAIGN_SPENT,
	TABLE_DOWNLINE,
	TABLE_REFUND,
	TABLE_REFUND_APPLIED,
	TABLE_REFUND_WAITING,
	TABLE_WRITE_OFF,
	TABLE_SETTLEMENT,
	TABLE_REWARD_CLOSED,
	TABLE_REWARD_GRANT,
	TABLE_FUNNEL,
	TABLE_EVENT_PENDING,
	TABLE_API_GRANT,
	TABLE_COUNT
} TableId;

/* Longest primary key of them all, earning's. */
#define TABLE_MAX_KEYS	6

typedef struct Table
{
	Relation	rel;
	Relation	key;			/* index of the primary key, see table_key() */
	int			nkeys;			/* its columns */
	AttrNumber	key_column[TABLE_MAX_KEYS];
	ScanKeyData scankey[TABLE_MAX_KEYS];	/* "column = argument" */
	IndexScanDesc scan[TABLE_MAX_KEYS + 1]; /* by number of leading keys */
	IndexScanDesc range;		/* of table_find_range() */
	Relation	range_index;	/* the one that it reads */
	int			range_keys;		/* its leading keys */
	TupleTableSlot *row;		/* the row found last */
	ItemPointerData root;		/* what an index entry for it points to */
	uint32		hash;			/* of the key that table_find_any() got last */
	TupleTableSlot *next;		/* the row to be written */
	ResultRelInfo *indexes;		/* open once something was written */
} Table;

/*
 * One run of the engine: the tables it opened, what it sees, where it keeps
 * its memory.
 */
typedef struct Books
{
	Oid			namespace;
	MemoryContext context;		/* lives until books_close() */
	Snapshot	snapshot;
	CommandId	command;		/* of what this run writes */
	TimestampTz now;			/* start of the transaction */
	bool		append_only;	/* the isolation level forbids updates of
								 * counters, see counters.c */
	bool		read_only;		/* begun by books_read() */
	EState	   *estate;
	Table	   *table[TABLE_COUNT];
} Books;

/*
 * Rows of one table on their way in, written many at a time.
 */
#define ROW_BATCH	500

typedef struct RowBatch
{
	Books	   *books;
	TableId		id;
	MemoryContext context;		/* of what the rows refer to */
	TupleTableSlot *slots[ROW_BATCH];
	int			nslots;
	int			slots_made;
} RowBatch;

/* What table_each() calls with the stored columns of a row, and how many there are. */
typedef void (*RowVisitor) (const void *row, int ncolumns, void *state);

extern void tables_init(void);
extern Oid	table_oid(Oid namespace, TableId id);
extern bool table_is_there(Oid namespace, TableId id);
extern bool table_is_empty(Oid namespace, TableId id);
extern void table_announce(const Table *table);

extern Books *books_open(Oid namespace);
extern Books *books_read(Oid namespace);
extern void books_forget_scans(Books *books);
extern void books_refresh(Books *books);
extern void books_close(Books *books);

extern Table *books_table(Books *books, TableId id);
extern Relation table_key(Table *table);
extern void init_equality(ScanKey scankey, Relation index, int i);
extern void table_end_range(Table *table);
extern bool table_find(Books *books, Table *table, int nkeys, const Datum *key);
extern bool table_find_next(Table *table, int nkeys);
extern void table_each(Books *books, Table *table, int nkeys, const Datum *key,
					   RowVisitor visit, void *state);
extern bool table_find_last(Books *books, Table *table, int nkeys,
							const Datum *key);
extern bool table_find_range(Books *books, Table *table, int nkeys,
							 const Datum *key, int64 from, int64 to);
extern bool table_find_range_by(Books *books, Table *table, const char *index,
								int nkeys, const Datum *key, int64 from,
								int64 to);
extern bool table_find_range_next(Table *table);
extern bool table_find_by(Books *books, Table *table, const char *index,
						  int nkeys, const Datum *key);
extern bool table_row_is_ours(Table *table);
extern bool table_find_any(Books *books, Table *table, int nkeys,
						   const Datum *key);
extern bool table_find_told(Books *books, Table *table, int nkeys,
							const Datum *key, IndexFind *told);
extern RememberedRow *table_remember(Table *table);
extern RememberedRow *table_remember_new(Table *table, int nkeys,
										 TupleTableSlot *slot);
extern bool table_fetch(Books *books, Table *table, ItemPointer tid);
extern void table_lock(Books *books, Table *table);
extern void table_begin_row(Books *books, Table *table);
extern void table_insert(Books *books, Table *table);
extern void table_insert_many(Books *books, Table *table,
							  TupleTableSlot **slots, int nslots,
							  CommandId command, BulkInsertState bulk);
extern RowBatch *batch_begin(Books *books, TableId id);
extern TupleTableSlot *batch_row(RowBatch *batch);
extern void batch_end(RowBatch *batch);
extern void table_begin_update(Books *books, Table *table);
extern bool table_update(Books *books, Table *table, bool wait);
extern bool table_update_at(Books *books, Table *table, CommandId command,
							bool wait);
extern void table_delete(Books *books, Table *table);
extern ResultRelInfo *table_indexes(Books *books, Table *table);

/* Column `attnum` of the row found last, and of the row to be written. */
static inline Datum
row_datum(Table *table, AttrNumber attnum, bool *isnull)
{
	return slot_getattr(table->row, attnum, isnull);
}

static inline int64
row_int64(Table *table, AttrNumber attnum)
{
	bool		isnull;
	Datum		value = slot_getattr(table->row, attnum, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

static inline int32
row_int32(Table *table, AttrNumber attnum)
{
	bool		isnull;
	Datum		value = slot_getattr(table->row, attnum, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

/* A text of the row found last, copied into the run's memory. */
static inline Datum
row_text(Books *books, Table *table, AttrNumber attnum, bool *isnull)
{
	Datum		value = slot_getattr(table->row, attnum, isnull);
	MemoryContext old;

	if (*isnull)
		return (Datum) 0;
	old = MemoryContextSwitchTo(books->context);
	value = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
	MemoryContextSwitchTo(old);
	return value;
}

static inline bool
row_is_null(Table *table, AttrNumber attnum)
{
	return slot_attisnull(table->row, attnum);
}

static inline void
slot_set(TupleTableSlot *slot, AttrNumber attnum, Datum value)
{
	slot->tts_values[attnum - 1] = value;
	slot->tts_isnull[attnum - 1] = false;
}

static inline void
next_set(Table *table, AttrNumber attnum, Datum value)
{
	slot_set(table->next, attnum, value);
}

#endif							/* REFERRAL_TABLES_H */
