/*
 * table_write.c
 *	  The engine's tables: insert, update, delete, one row or many.
 *
 * The third part of tables.c, whose rules hold here, too.
 */
#include "tables.h"

#include "executor/executor.h"
#include "utils/memutils.h"

/* The slot for the row to be written, empty. */
static TupleTableSlot *
next_slot(Books *books, Table *table)
{
	if (!table->next)
	{
		MemoryContext old = MemoryContextSwitchTo(books->context);

		table->next = table_slot_create(table->rel, NULL);
		MemoryContextSwitchTo(old);
	}
	return ExecClearTuple(table->next);
}

/*
 * Begin a new row in table->next: every column NULL until next_set().
 */
void
table_begin_row(Books *books, Table *table)
{
	TupleTableSlot *slot = next_slot(books, table);

	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts);
}

/*
 * Begin a new version, in table->next, of the row in table->row.
 */
void
table_begin_update(Books *books, Table *table)
{
	TupleTableSlot *slot = next_slot(books, table);
	int			natts = slot->tts_tupleDescriptor->natts;

	slot_getallattrs(table->row);
	memcpy(slot->tts_values, table->row->tts_values, natts * sizeof(Datum));
	memcpy(slot->tts_isnull, table->row->tts_isnull, natts * sizeof(bool));
}

/*
 * Return the table's indexes, opened for writing.
 */
ResultRelInfo *
table_indexes(Books *books, Table *table)
{
	if (!table->indexes)
	{
		MemoryContext old = MemoryContextSwitchTo(books->context);

		table->indexes = makeNode(ResultRelInfo);
		InitResultRelInfo(table->indexes, table->rel, 0, NULL, 0);
		ExecOpenIndices(table->indexes, false);
		if (!books->estate)
			books->estate = CreateExecutorState();
		MemoryContextSwitchTo(old);
	}
	return table->indexes;
}

static void
index_slot(Books *books, Table *table, TupleTableSlot *slot, bool is_update)
{
	ResultRelInfo *indexes = table_indexes(books, table);	/* makes the estate */

	ExecInsertIndexTuples(indexes, slot, books->estate, is_update, false,
						  NULL, NIL);
	ResetPerTupleExprContext(books->estate);
}

/*
 * Insert the row in table->next.  Raises 23505 like any insert.
 */
void
table_insert(Books *books, Table *table)
{
	ExecStoreVirtualTuple(table->next);
	table_tuple_insert(table->rel, table->next, books->command, 0, NULL);
	index_slot(books, table, table->next, false);
}

/*
 * Insert many rows of slots made for this table, with few WAL records.  With
 * `bulk` the pages are filled one after the other; such a state belongs to one
 * table only.  `command` is the run's but for counters.
 */
void
table_insert_many(Books *books, Table *table, TupleTableSlot **slots,
				  int nslots, CommandId command, BulkInsertState bulk)
{
	table_multi_insert(table->rel, slots, nslots, command, 0, bulk);
	for (int i = 0; i < nslots; i++)
		index_slot(books, table, slots[i], false);
}

/*
 * Begin to gather rows for a table; owned by the run.
 */
RowBatch *
batch_begin(Books *books, TableId id)
{
	RowBatch   *batch = MemoryContextAllocZero(books->context, sizeof(RowBatch));

	batch->books = books;
	batch->id = id;
	batch->context = AllocSetContextCreate(books->context, "referral rows",
										   ALLOCSET_DEFAULT_SIZES);
	return batch;
}

static void
write_batch(RowBatch *batch)
{
	if (batch->nslots == 0)
		return;
	table_insert_many(batch->books, books_table(batch->books, batch->id),
					  batch->slots, batch->nslots, batch->books->command, NULL);
	for (int i = 0; i < batch->nslots; i++)
		ExecClearTuple(batch->slots[i]);
	batch->nslots = 0;
	MemoryContextReset(batch->context);
}

/*
 * The next row, to be filled by the caller: every column is NULL.  What it
 * refers to lives in batch->context, or longer.
 */
TupleTableSlot *
batch_row(RowBatch *batch)
{
	TupleTableSlot *slot;

	if (batch->nslots == ROW_BATCH)
		write_batch(batch);
	if (batch->nslots == batch->slots_made)
	{
		MemoryContext old = MemoryContextSwitchTo(batch->books->context);

		batch->slots[batch->slots_made++] =
			table_slot_create(books_table(batch->books, batch->id)->rel, NULL);
		MemoryContextSwitchTo(old);
	}
	slot = ExecClearTuple(batch->slots[batch->nslots++]);
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts);
	return ExecStoreVirtualTuple(slot);
}

/*
 * Write what is left.
 */
void
batch_end(RowBatch *batch)
{
	write_batch(batch);
	for (int i = 0; i < batch->slots_made; i++)
		ExecDropSingleTupleTableSlot(batch->slots[i]);
	batch->slots_made = 0;
}

/*
 * Replace the row in table->row by the version in table->next.  Where somebody
 * else holds the row: with `wait`, wait for him (the caller has locked the row,
 * so there is nobody); without, return false and leave everything as it was.
 * table->root then leads to the new version.
 */
bool
table_update(Books *books, Table *table, bool wait)
{
	return table_update_at(books, table, books->command, wait);
}

/*
 * The same as part of another command of the transaction, which is later than
 * the one that wrote the row.
 */
bool
table_update_at(Books *books, Table *table, CommandId command, bool wait)
{
	TM_FailureData failure;
	LockTupleMode mode;
	bool		needs_index;

	ExecStoreVirtualTuple(table->next);
	if (table_tuple_update(table->rel, &table->row->tts_tid, table->next,
						   command, books->snapshot, InvalidSnapshot, wait,
						   &failure, &mode, &needs_index) != TM_Ok)
		return false;
	if (needs_index)
	{
		index_slot(books, table, table->next, true);
		table->root = table->next->tts_tid;
	}
	return true;
}

/*
 * Delete the row in table->row, which the caller has locked or alone knows of.
 */
void
table_delete(Books *books, Table *table)
{
	TM_FailureData failure;
	TM_Result	result;

	result = table_tuple_delete(table->rel, &table->row->tts_tid, books->command,
								books->snapshot, InvalidSnapshot, true,
								&failure, false);
	if (result != TM_Ok)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("row of the books vanished"),
				 errdetail("A row of table \"%s\" was deleted or changed by somebody else.",
						   RelationGetRelationName(table->rel))));
}
