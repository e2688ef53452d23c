/*
 * source_in.c
 *	  The triggers of attached tables: rows of the application's statement
 *	  become rows of referral.payment, in their order, by one statement.
 *
 *	  A plain table has statement triggers with transition tables, so that bulk
 *	  stays bulk. PostgreSQL gives those neither to rows written to a partition
 *	  directly nor to partitions added later; a partitioned table has a row
 *	  trigger, which it clones to every partition, and pays per row.
 *
 *	  Memory: one context per row from the second payment on; the gathered
 *	  payments are in a tuplestore, which spills past work_mem.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "source.h"

#define ROWS_NAME "referral_rows"

/*
 * Neither text holds a name of the application's: columns were found by
 * number, values come as parameters or through the tuplestore.
 */
static const char *const write_one =
	"INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro,"
	" base_micro, kind, occurred_at) VALUES ($1, $2, $3, $4, $5, $6, $7)"
	" ON CONFLICT DO NOTHING";
static const char *const write_many =
	"INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro,"
	" base_micro, kind, occurred_at)"
	" SELECT $1, r.payment_id, r.user_id, r.amount_micro, r.base_micro, r.kind, r.occurred_at"
	" FROM " ROWS_NAME " r ON CONFLICT DO NOTHING";
static const char *const write_skipped =
	"INSERT INTO referral.source_skipped (program_id, source_id, incomplete, known)"
	" VALUES ($1, $2, $3, $4)";

static SPIPlanPtr write_one_plan = NULL;
static SPIPlanPtr write_many_plan = NULL;
static SPIPlanPtr write_skipped_plan = NULL;

static TupleDesc
payment_desc(void)
{
	TupleDesc	desc = CreateTemplateTupleDesc(PAYMENT_COLUMNS);

	TupleDescInitEntry(desc, 1, "payment_id", TEXTOID, -1, 0);
	TupleDescInitEntry(desc, 2, "user_id", TEXTOID, -1, 0);
	TupleDescInitEntry(desc, 3, "amount_micro", INT8OID, -1, 0);
	TupleDescInitEntry(desc, 4, "base_micro", INT8OID, -1, 0);
	TupleDescInitEntry(desc, 5, "kind", TEXTOID, -1, 0);
	TupleDescInitEntry(desc, 6, "occurred_at", TIMESTAMPTZOID, -1, 0);
	return desc;
}

void
feed_begin(Feed *feed, const Source *source)
{
	memset(feed, 0, sizeof(Feed));
	feed->source = source;
}

/* A second payment: from here on they are kept in a tuplestore. */
static void
open_rows(Feed *feed)
{
	feed->desc = payment_desc();
	feed->rows = tuplestore_begin_heap(false, false, work_mem);
	tuplestore_putvalues(feed->rows, feed->desc, feed->first, feed->first_null);
	feed->row_context = AllocSetContextCreate(CurrentMemoryContext, "referral source row",
												ALLOCSET_DEFAULT_SIZES);
}

/* Gathers the payment that slot stands for. */
static void
add(Feed *feed, TupleTableSlot *slot)
{
	Datum		payment[PAYMENT_COLUMNS];
	bool		nulls[PAYMENT_COLUMNS];
	MemoryContext was;

	if (feed->count++ == 0)
	{
		source_payment(feed->source, slot, feed->first, feed->first_null);
		return;
	}
	if (feed->rows == NULL)
		open_rows(feed);
	was = MemoryContextSwitchTo(feed->row_context);
	source_payment(feed->source, slot, payment, nulls);
	tuplestore_putvalues(feed->rows, feed->desc, payment, nulls);
	MemoryContextSwitchTo(was);
	MemoryContextReset(feed->row_context);
}

/* A row as it stands: gathered, counted as incomplete, or left. */
void
feed_take(Feed *feed, TupleTableSlot *slot)
{
	switch (source_fate(feed->source, slot))
	{
		case SOURCE_COUNTS:
			add(feed, slot);
			break;
		case SOURCE_INCOMPLETE:
			feed->incomplete++;
			break;
		case SOURCE_UNPAID:
			break;
	}
}

static void
run(SPIPlanPtr *kept, const char *text, int nargs, const Oid *types, Datum *args,
	const char *nulls)
{
	if (*kept == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare_cursor(text, nargs, unconstify(Oid *, types),
											  CURSOR_OPT_GENERIC_PLAN);

		if (plan == NULL)
			elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
		SPI_keepplan(plan);
		*kept = plan;
	}
	if (SPI_execute_plan(*kept, args, nulls, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not write a payment of a source");
}

static void
insert_one(Feed *feed)
{
	const Oid	types[] = {INT8OID, TEXTOID, TEXTOID, INT8OID, INT8OID, TEXTOID, TIMESTAMPTZOID};
	Datum		args[1 + PAYMENT_COLUMNS] = {Int64GetDatum(feed->source->program_id)};
	char		nulls[1 + PAYMENT_COLUMNS] = {' '};

	for (int i = 0; i < PAYMENT_COLUMNS; i++)
	{
		args[i + 1] = feed->first[i];
		nulls[i + 1] = feed->first_null[i] ? 'n' : ' ';
	}
	run(&write_one_plan, write_one, lengthof(types), types, args, nulls);
}

static void
insert_many(Feed *feed)
{
	const Oid	types[] = {INT8OID};
	Datum		args[] = {Int64GetDatum(feed->source->program_id)};
	EphemeralNamedRelationData rows = {
		.md = {
			.name = ROWS_NAME,
			.tupdesc = feed->desc,
			.enrtype = ENR_NAMED_TUPLESTORE,
			.enrtuples = feed->count
		},
		.reldata = feed->rows
	};

	if (SPI_register_relation(&rows) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register " ROWS_NAME);
	run(&write_many_plan, write_many, lengthof(types), types, args, NULL);
}

/* Which table a refusal of the engine is about. */
static void
name_source(void *arg)
{
	const Source *source = arg;

	errcontext("payments of table %s for program %lld",
			   quote_identifier(NameStr(source->table)), (long long) source->program_id);
}

/*
 * Writes what was gathered, in one statement, with the rights of the owner of
 * the books. Returns how many payments were new; a known id is left as it is.
 * The texts name nothing that search_path could decide, so it is not pinned.
 */
int64
feed_write(Feed *feed)
{
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = name_source,
		.arg = unconstify(Source *, feed->source)
	};
	Oid			was_user;
	int			was_context;
	int64		written;

	if (feed->count == 0)
		return 0;
	error_context_stack = &context;
	SPI_connect();
	source_become(source_books_owner(), 0, &was_user, &was_context);
	if (feed->count == 1)
		insert_one(feed);
	else
		insert_many(feed);
	written = SPI_processed;
	SetUserIdAndSecContext(was_user, was_context);
	SPI_finish();
	error_context_stack = context.previous;
	if (feed->rows != NULL)
	{
		tuplestore_end(feed->rows);
		MemoryContextDelete(feed->row_context);
	}
	return written;
}

/* A row of its own each time, so that no payment waits for another. */
static void
count_skipped(const Feed *feed, int64 known)
{
	const Oid	types[] = {INT8OID, INT8OID, INT8OID, INT8OID};
	Datum		args[] = {
		Int64GetDatum(feed->source->program_id), Int64GetDatum(feed->source->source_id),
		Int64GetDatum(feed->incomplete), Int64GetDatum(known)
	};
	Oid			was_user;
	int			was_context;

	SPI_connect();
	source_become(source_books_owner(), 0, &was_user, &was_context);
	run(&write_skipped_plan, write_skipped, lengthof(types), types, args, NULL);
	SetUserIdAndSecContext(was_user, was_context);
	SPI_finish();
}

/*
 * An updated row counts when it does so for the first time. One that did
 * before the table was attached, and was not asked for by backfill(), is not
 * taken in because somebody corrects its address.
 */
static void
take_updated(Feed *feed, TupleTableSlot *before, TupleTableSlot *after)
{
	if (source_fate(feed->source, after) > source_fate(feed->source, before))
		feed_take(feed, after);
}

static TupleTableSlot *
read_from_start(Tuplestorestate *rows, Relation relation)
{
	/* other triggers read the same rows by pointers of their own */
	tuplestore_select_read_pointer(rows, tuplestore_alloc_read_pointer(rows, EXEC_FLAG_REWIND));
	tuplestore_rescan(rows);
	return MakeSingleTupleTableSlot(RelationGetDescr(relation), &TTSOpsMinimalTuple);
}

static void
take_statement(Feed *feed, TriggerData *trigger)
{
	bool		update = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event);
	TupleTableSlot *after = read_from_start(trigger->tg_newtable, trigger->tg_relation);
	TupleTableSlot *before = update ?
		read_from_start(trigger->tg_oldtable, trigger->tg_relation) : NULL;

	while (tuplestore_gettupleslot(trigger->tg_newtable, true, false, after))
	{
		CHECK_FOR_INTERRUPTS();
		if (!update)
			feed_take(feed, after);
		else if (tuplestore_gettupleslot(trigger->tg_oldtable, true, false, before))
			take_updated(feed, before, after);
		else
			elog(ERROR, "transition tables differ in length");
	}
	ExecDropSingleTupleTableSlot(after);
	if (update)
		ExecDropSingleTupleTableSlot(before);
}

static void
take_row(Feed *feed, TriggerData *trigger)
{
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		take_updated(feed, trigger->tg_trigslot, trigger->tg_newslot);
	else
		feed_take(feed, trigger->tg_trigslot);
}

static const Source *
check_call(FunctionCallInfo fcinfo)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	const Source *source;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("function \"%s\" was not called by trigger manager", "source_in"));
	if (!TRIGGER_FIRED_AFTER(trigger->tg_event))
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("function \"%s\" must be fired AFTER trigger", "source_in"));
	if (trigger->tg_trigger->tgnargs != 2)
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("function \"%s\" was called with the wrong number of trigger arguments",
					   "source_in"));
	source = source_find(RelationGetRelid(trigger->tg_relation),
							pg_strtoint64(trigger->tg_trigger->tgargs[0]),
							pg_strtoint64(trigger->tg_trigger->tgargs[1]));
	if (!TRIGGER_FIRED_BY_INSERT(trigger->tg_event) &&
		!(TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) &&
		  source->column[SOURCE_PAID_WHEN].attno != 0))
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("function \"%s\" must be fired for INSERT, or for UPDATE where paid_when is named",
					   "source_in"));
	if (!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) &&
		(trigger->tg_newtable == NULL ||
		 (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) && trigger->tg_oldtable == NULL)))
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("function \"%s\" needs transition tables where it is fired for a statement",
					   "source_in"));
	return source;
}

PG_FUNCTION_INFO_V1(referral_source_in);

/*
 * AFTER INSERT, and where paid_when is named AFTER UPDATE, of an attached
 * table, made by referral.attach(); arguments: program_id, source_id.
 */
Datum
referral_source_in(PG_FUNCTION_ARGS)
{
	const Source *source = check_call(fcinfo);
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Feed		feed;
	int64		known;

	feed_begin(&feed, source);
	if (TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		take_row(&feed, trigger);
	else
		take_statement(&feed, trigger);
	known = feed.count - feed_write(&feed);
	/* paid, not paid, paid again is no accident; an id inserted twice is one */
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		known = 0;
	if (feed.incomplete > 0 || known > 0)
		count_skipped(&feed, known);
	return PointerGetDatum(NULL);
}
