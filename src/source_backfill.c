/*
 * source_backfill.c
 *	  The rows that an attached table held before it was attached, read once in
 *	  the order of their occurrence, then taken in batch by batch.
 *
 *	  One sorted read is kept over the commits between batches, as a cursor
 *	  WITH HOLD would keep it, in a tuplestore that spills past work_mem: one
 *	  sort in all, no index needed, memory bounded. It is no cursor because it
 *	  has to be read with the rights of the table's owner, who may have hidden
 *	  code in policies or indexes, and in a security-restricted operation, so
 *	  that a superuser may backfill a table of somebody he does not trust.
 *
 *	  An abort between batches ends the read; the next call starts one anew and
 *	  passes over what is known.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/tstoreReceiver.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "source.h"

/* The one backfill of this session; everything in it lives in its context. */
typedef struct Backfill
{
	MemoryContext context;
	Source		source;			/* columns by their position in desc */
	Tuplestorestate *rows;
	TupleDesc	desc;
} Backfill;

static Backfill *running = NULL;

static void
end_backfill(void)
{
	Backfill   *ended = running;

	running = NULL;
	if (ended == NULL)
		return;
	if (ended->rows != NULL)
		tuplestore_end(ended->rows);
	MemoryContextDelete(ended->context);
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		end_backfill();
}

static void
begin_backfill(const Source *source)
{
	static bool registered = false;
	MemoryContext context;
	MemoryContext was;
	Backfill   *backfill;

	end_backfill();
	if (!registered)
		RegisterXactCallback(at_transaction_end, NULL);
	registered = true;

	context = AllocSetContextCreate(TopMemoryContext, "referral backfill", ALLOCSET_DEFAULT_SIZES);
	was = MemoryContextSwitchTo(context);
	backfill = palloc0(sizeof(Backfill));
	backfill->context = context;
	backfill->source = *source;
	backfill->source.id_prefix = DatumGetTextPCopy(PointerGetDatum(source->id_prefix));
	backfill->source.time_zone = DatumGetTextPCopy(PointerGetDatum(source->time_zone));
	running = backfill;
	backfill->rows = tuplestore_begin_heap(false, true, work_mem);
	MemoryContextSwitchTo(was);
}

/*
 * SELECT of the named columns in the order of their roles, sorted by the
 * instant and then the ids. ONLY, as the triggers of a table with inheritance
 * children see its own rows.
 */
static char *
read_text(Oid relation, Source *source)
{
	const SourceRole order[] = {SOURCE_OCCURRED_AT, SOURCE_PAID_WHEN, SOURCE_PAYMENT_ID, SOURCE_REFUND_ID};
	SourceColumn *column = source->column;
	const char *name[SOURCE_ROLES] = {NULL};
	const char *before = "SELECT";
	StringInfoData text;
	int			position = 0;

	initStringInfo(&text);
	for (int i = 0; i < SOURCE_ROLES; i++)
	{
		if (column[i].attno == 0)
			continue;
		name[i] = quote_identifier(get_attname(relation, column[i].attno, false));
		column[i].attno = ++position;
		appendStringInfo(&text, "%s t.%s", before, name[i]);
		before = ",";
	}
	appendStringInfo(&text, " FROM %s%s t",
					 get_rel_relkind(relation) == RELKIND_RELATION ? "ONLY " : "",
					 quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
												get_rel_name(relation)));
	if (name[SOURCE_PAID_WHEN] != NULL)
		appendStringInfo(&text, " WHERE t.%s IS %s", name[SOURCE_PAID_WHEN],
						 column[SOURCE_PAID_WHEN].type == BOOLOID ? "TRUE" : "NOT NULL");
	before = " ORDER BY";
	for (int i = 0; i < (int) lengthof(order); i++)
	{
		if (name[order[i]] == NULL || column[order[i]].type == BOOLOID)
			continue;
		appendStringInfo(&text, "%s t.%s", before, name[order[i]]);
		before = ",";
	}
	return text.data;
}

static Oid
owner_of(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relation);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* What read_text() returns; a domain is stored as the type below it. */
static void
describe_rows(Backfill *backfill)
{
	MemoryContext was = MemoryContextSwitchTo(backfill->context);
	const SourceColumn *column = backfill->source.column;
	int			columns = 0;

	for (int i = 0; i < SOURCE_ROLES; i++)
		columns += column[i].attno != 0;
	backfill->desc = CreateTemplateTupleDesc(columns);
	for (int i = 0; i < SOURCE_ROLES; i++)
		if (column[i].attno != 0)
			TupleDescInitEntry(backfill->desc, column[i].attno, NULL, column[i].type, -1, 0);
	MemoryContextSwitchTo(was);
}

/* Runs text as the owner of the table and keeps what it returns. */
static int64
read_rows(Backfill *backfill, Oid relation, const char *text)
{
	SPIExecuteOptions options = {.read_only = true};
	Oid			was_user;
	int			was_context;
	int			nest_level = NewGUCNestLevel();

	source_become(owner_of(relation), SECURITY_RESTRICTED_OPERATION | SECURITY_NOFORCE_RLS,
			  &was_user, &was_context);
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	SPI_connect();
	options.dest = CreateTuplestoreDestReceiver();
	SetTuplestoreDestReceiverParams(options.dest, backfill->rows, backfill->context, true,
									NULL, NULL);
	if (SPI_execute_extended(text, &options) != SPI_OK_SELECT)
		elog(ERROR, "could not read a source");
	SPI_finish();
	AtEOXact_GUC(false, nest_level);
	SetUserIdAndSecContext(was_user, was_context);
	return tuplestore_tuple_count(backfill->rows);
}

PG_FUNCTION_INFO_V1(referral_source_open);

/* referral.source_open(source, program_id, source_id): rows to go through */
Datum
referral_source_open(PG_FUNCTION_ARGS)
{
	Oid			relation = PG_GETARG_OID(0);
	char	   *text;

	begin_backfill(source_find(relation, PG_GETARG_INT64(1), PG_GETARG_INT64(2)));
	text = read_text(relation, &running->source);
	describe_rows(running);
	PG_RETURN_INT64(read_rows(running, relation, text));
}

PG_FUNCTION_INFO_V1(referral_source_next);

/*
 * referral.source_next(program_id, source_id, batch_rows): rows read, taken in
 * and passed over for a null. None read = that was all.
 */
Datum
referral_source_next(PG_FUNCTION_ARGS)
{
	int64		batch_rows = PG_GETARG_INT64(2);
	int64		read = 0;
	Feed		feed;
	TupleTableSlot *slot;
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {false};

	if (running == NULL || running->source.program_id != PG_GETARG_INT64(0) ||
		running->source.source_id != PG_GETARG_INT64(1))
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("no backfill of this source is open"),
				errhint("Use CALL referral.backfill()."));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	feed_begin(&feed, &running->source);
	slot = MakeSingleTupleTableSlot(running->desc, &TTSOpsMinimalTuple);
	while (read < batch_rows && tuplestore_gettupleslot(running->rows, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		read++;
		feed_take(&feed, NULL, slot);
	}
	ExecDropSingleTupleTableSlot(slot);
	feed_write(&feed);
	if (read == 0)
		end_backfill();

	values[0] = Int64GetDatum(read);
	values[1] = Int64GetDatum(feed.taken);
	values[2] = Int64GetDatum(feed.incomplete);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
