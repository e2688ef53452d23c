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
rf_intake_begin(Intake *intake, const Source *source)
{
	memset(intake, 0, sizeof(Intake));
	intake->source = source;
}

/* A second payment: from here on they are kept in a tuplestore. */
static void
open_rows(Intake *intake)
{
	intake->desc = payment_desc();
	intake->rows = tuplestore_begin_heap(false, false, work_mem);
	tuplestore_putvalues(intake->rows, intake->desc, intake->first, intake->first_null);
	intake->row_context = AllocSetContextCreate(CurrentMemoryContext, "referral source row",
												ALLOCSET_DEFAULT_SIZES);
}

/* Gathers the payment that slot stands for. */
static void
add(Intake *intake, TupleTableSlot *slot)
{
	Datum		payment[PAYMENT_COLUMNS];
	bool		nulls[PAYMENT_COLUMNS];
	MemoryContext was;

	if (intake->count++ == 0)
	{
		rf_source_payment(intake->source, slot, intake->first, intake->first_null);
		return;
	}
	if (intake->rows == NULL)
		open_rows(intake);
	was = MemoryContextSwitchTo(intake->row_context);
	rf_source_payment(intake->source, slot, payment, nulls);
	tuplestore_putvalues(intake->rows, intake->desc, payment, nulls);
	MemoryContextSwitchTo(was);
	MemoryContextReset(intake->row_context);
}

/* A row as it stands: gathered, counted as incomplete, or left. */
void
rf_intake_take(Intake *intake, TupleTableSlot *slot)
{
	switch (rf_source_fate(intake->source, slot))
	{
		case SOURCE_COUNTS:
			add(intake, slot);
			break;
		case SOURCE_INCOMPLETE:
			intake->incomplete++;
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
insert_one(Intake *intake)
{
	const Oid	types[] = {INT8OID, TEXTOID, TEXTOID, INT8OID, INT8OID, TEXTOID, TIMESTAMPTZOID};
	Datum		args[1 + PAYMENT_COLUMNS] = {Int64GetDatum(intake->source->program_id)};
	char		nulls[1 + PAYMENT_COLUMNS] = {' '};

	for (int i = 0; i < PAYMENT_COLUMNS; i++)
	{
		args[i + 1] = intake->first[i];
		nulls[i + 1] = intake->first_null[i] ? 'n' : ' ';
	}
	run(&write_one_plan, write_one, lengthof(types), types, args, nulls);
}

static void
insert_many(Intake *intake)
{
	const Oid	types[] = {INT8OID};
	Datum		args[] = {Int64GetDatum(intake->source->program_id)};
	EphemeralNamedRelationData rows = {
		.md = {
			.name = ROWS_NAME,
			.tupdesc = intake->desc,
			.enrtype = ENR_NAMED_TUPLESTORE,
			.enrtuples = intake->count
		},
		.reldata = intake->rows
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
rf_intake_write(Intake *intake)
{
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = name_source,
		.arg = unconstify(Source *, intake->source)
	};
	Oid			was_user;
	int			was_context;
	int64		written;

	if (intake->count == 0)
		return 0;
	error_context_stack = &context;
	SPI_connect();
	rf_become(rf_books_owner(), 0, &was_user, &was_context);
	if (intake->count == 1)
		insert_one(intake);
	else
		insert_many(intake);
	written = SPI_processed;
	SetUserIdAndSecContext(was_user, was_context);
	SPI_finish();
	error_context_stack = context.previous;
	if (intake->rows != NULL)
	{
		tuplestore_end(intake->rows);
		MemoryContextDelete(intake->row_context);
	}
	return written;
}

/* A row of its own each time, so that no payment waits for another. */
static void
count_skipped(const Intake *intake, int64 known)
{
	const Oid	types[] = {INT8OID, INT8OID, INT8OID, INT8OID};
	Datum		args[] = {
		Int64GetDatum(intake->source->program_id), Int64GetDatum(intake->source->source_id),
		Int64GetDatum(intake->incomplete), Int64GetDatum(known)
	};
	Oid			was_user;
	int			was_context;

	SPI_connect();
	rf_become(rf_books_owner(), 0, &was_user, &was_context);
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
take_updated(Intake *intake, TupleTableSlot *before, TupleTableSlot *after)
{
	if (rf_source_fate(intake->source, after) > rf_source_fate(intake->source, before))
		rf_intake_take(intake, after);
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
take_statement(Intake *intake, TriggerData *trigger)
{
	bool		update = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event);
	TupleTableSlot *after = read_from_start(trigger->tg_newtable, trigger->tg_relation);
	TupleTableSlot *before = update ?
		read_from_start(trigger->tg_oldtable, trigger->tg_relation) : NULL;

	while (tuplestore_gettupleslot(trigger->tg_newtable, true, false, after))
	{
		CHECK_FOR_INTERRUPTS();
		if (!update)
			rf_intake_take(intake, after);
		else if (tuplestore_gettupleslot(trigger->tg_oldtable, true, false, before))
			take_updated(intake, before, after);
		else
			elog(ERROR, "transition tables differ in length");
	}
	ExecDropSingleTupleTableSlot(after);
	if (update)
		ExecDropSingleTupleTableSlot(before);
}

static void
take_row(Intake *intake, TriggerData *trigger)
{
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		take_updated(intake, trigger->tg_trigslot, trigger->tg_newslot);
	else
		rf_intake_take(intake, trigger->tg_trigslot);
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
	source = rf_source_find(RelationGetRelid(trigger->tg_relation),
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
	Intake		intake;
	int64		known;

	rf_intake_begin(&intake, source);
	if (TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		take_row(&intake, trigger);
	else
		take_statement(&intake, trigger);
	known = intake.count - rf_intake_write(&intake);
	/* paid, not paid, paid again is no accident; an id inserted twice is one */
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		known = 0;
	if (intake.incomplete > 0 || known > 0)
		count_skipped(&intake, known);
	return PointerGetDatum(NULL);
}
