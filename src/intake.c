/*
 * intake.c
 *	  What payments and refunds have in common on their way in: whether the
 *	  engine sees them, and what no such row may be.
 *
 * The default of payment.taken_in reads the setting referral.taking_in, that of
 * refund.taken_in referral.taking_in_refunds.  The BEFORE statement trigger
 * raises it, the AFTER statement trigger lowers it; so every row says by itself
 * whether the engine saw it, at no cost, and a payment that no trigger saw
 * differs from one that earned nothing.  Statements nest (a payment inserted by
 * a function that an insert calls), errors undo.
 */
#include "intake.h"

#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type_d.h"
#include "commands/sequence.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Nest level of the transaction at each statement that is running. */
static List *raised[INTAKE_COUNT];

static bool taking_in_variable[INTAKE_COUNT];

static const char *
show_payments(void)
{
	return raised[INTAKE_PAYMENTS] != NIL ? "on" : "off";
}

static const char *
show_refunds(void)
{
	return raised[INTAKE_REFUNDS] != NIL ? "on" : "off";
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			/* the memory went with the transaction */
			memset(raised, 0, sizeof(raised));
			break;
		default:
			break;
	}
}

static void
end_of_subtransaction(SubXactEvent event, SubTransactionId mySubid,
					  SubTransactionId parentSubid, void *arg)
{
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	for (int i = 0; i < INTAKE_COUNT; i++)
	{
		while (raised[i] != NIL &&
			   llast_int(raised[i]) >= GetCurrentTransactionNestLevel())
			raised[i] = list_delete_last(raised[i]);
	}
}

/*
 * Define the settings and register what undoes them.  Called once, from
 * _PG_init().
 */
void
intake_init(void)
{
	DefineCustomBoolVariable("referral.taking_in",
							 "Whether the engine sees the payments of the running statement.",
							 NULL, &taking_in_variable[INTAKE_PAYMENTS], false, PGC_INTERNAL,
							 GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
							 NULL, NULL, show_payments);
	DefineCustomBoolVariable("referral.taking_in_refunds",
							 "Whether the engine sees the refunds of the running statement.",
							 NULL, &taking_in_variable[INTAKE_REFUNDS], false, PGC_INTERNAL,
							 GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
							 NULL, NULL, show_refunds);
	RegisterXactCallback(end_of_transaction, NULL);
	RegisterSubXactCallback(end_of_subtransaction, NULL);
}

/*
 * A statement that inserts such rows begins.
 */
static void
raise_intake(Intake intake)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

	raised[intake] = lappend_int(raised[intake], GetCurrentTransactionNestLevel());
	MemoryContextSwitchTo(old);
}

/*
 * It has inserted them.
 */
void
intake_lower(Intake intake)
{
	if (raised[intake] != NIL)
		raised[intake] = list_delete_last(raised[intake]);
}

/*
 * Is a statement running whose rows were not processed yet?
 */
bool
intake_is_raised(Intake intake)
{
	return raised[intake] != NIL;
}

/*
 * Return the trigger that calls, for a statement that inserted into `table`.
 * Raises 39P01 for any other call.
 */
TriggerData *
intake_trigger(FunctionCallInfo fcinfo, TableId table, bool after)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						get_func_name(fcinfo->flinfo->fn_oid))));
	if (!TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event) ||
		!TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ||
		(after && (!TRIGGER_FIRED_AFTER(trigger->tg_event) || !trigger->tg_newtable)) ||
		RelationGetRelid(trigger->tg_relation) !=
		table_oid(RelationGetNamespace(trigger->tg_relation), table))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not fired as the trigger that install() makes",
						get_func_name(fcinfo->flinfo->fn_oid))));
	return trigger;
}

/* Is it the function `name`?  Looked up once per session, but for other triggers. */
static bool
is_after_function(Intake intake, Oid function, const char *name)
{
	static Oid	known[INTAKE_COUNT];

	if (function != known[intake] && strcmp(get_func_name(function), name) == 0)
		known[intake] = function;
	return function == known[intake];
}

/* Will the function `name` fire after this statement?  It can be disabled alone. */
static bool
after_trigger_fires(Intake intake, Relation relation, const char *name)
{
	const char	off = SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA
		? TRIGGER_FIRES_ON_ORIGIN : TRIGGER_FIRES_ON_REPLICA;

	for (int i = 0; i < relation->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &relation->trigdesc->triggers[i];

		if (TRIGGER_TYPE_MATCHES(trigger->tgtype, TRIGGER_TYPE_STATEMENT,
								 TRIGGER_TYPE_AFTER, TRIGGER_TYPE_INSERT) &&
			trigger->tgenabled != TRIGGER_DISABLED && trigger->tgenabled != off &&
			is_after_function(intake, trigger->tgfoid, name))
			return true;
	}
	return false;
}

/*
 * What the BEFORE INSERT statement trigger of `relation` does: its rows are
 * marked as seen if the function `after` will see them.
 */
void
intake_begin(Intake intake, Relation relation, const char *after)
{
	if (after_trigger_fires(intake, relation, after))
		raise_intake(intake);
}

/*
 * Take the rows of the statement that the trigger fired for.  The slot is the
 * caller's to drop.
 */
void
intake_rows_of(IntakeRows *rows, TriggerData *trigger)
{
	rows->rows = trigger->tg_newtable;
	rows->slot = MakeSingleTupleTableSlot(RelationGetDescr(trigger->tg_relation),
										  &TTSOpsMinimalTuple);
}

/*
 * Take rows of a program by their ids.
 */
void
intake_ids(IntakeRows *rows, int64 program_id, ArrayType *ids)
{
	rows->program_id = program_id;
	deconstruct_array(ids, TEXTOID, -1, false, TYPALIGN_INT, &rows->ids, NULL,
					  &rows->nids);
}

/*
 * Begin again with the first row.
 */
void
intake_rewind(IntakeRows *rows)
{
	if (rows->rows)
		tuplestore_rescan(rows->rows);
	rows->next_id = 0;
}

/*
 * The next row that the engine is to take in, or NULL; it stays until the one
 * after it is read.
 */
TupleTableSlot *
intake_next(IntakeRows *rows)
{
	CHECK_FOR_INTERRUPTS();
	if (rows->rows)
	{
		while (tuplestore_gettupleslot(rows->rows, true, false, rows->slot))
		{
			bool		isnull;

			/* Written on purpose for backfill() to take in later. */
			if (DatumGetBool(slot_getattr(rows->slot, rows->taken_in, &isnull)))
				return rows->slot;
		}
		return NULL;
	}
	while (rows->next_id < rows->nids)
	{
		Table	   *table = books_table(rows->books, rows->table);
		Datum		key[2] = {Int64GetDatum(rows->program_id),
		rows->ids[rows->next_id++]};

		if (table_find(rows->books, table, 2, key))
			return table->row;
	}
	return NULL;
}

/*
 * Return the program of a row.  Raises 23503 where there is none.
 */
const Program *
intake_program(IntakeRows *rows, int64 program_id)
{
	if (rows->last_program && rows->last_program->program_id == program_id)
		return rows->last_program;
	rows->last_program = program_find(rows->books, program_id);
	if (!rows->last_program)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("program does not exist"),
				 errdetail("There is no program %lld.", (long long) program_id),
				 errhint("Insert it into referral.program first.")));
	return rows->last_program;
}

/*
 * Mark the rows of rows->ids as taken in, and give them new numbers in the
 * order of processing where a column and a sequence are named.  With `waited`
 * the engine has seen them before, without it not; ids of others, and of rows
 * that are not there, are dropped.
 */
void
intake_claim(IntakeRows *rows, bool waited, AttrNumber number,
			 const char *sequence)
{
	Books	   *books = rows->books;
	Table	   *table = books_table(books, rows->table);
	Oid			numbers = sequence
		? get_relname_relid(sequence, books->namespace) : InvalidOid;
	int			n = 0;

	for (int i = 0; i < rows->nids; i++)
	{
		Datum		key[2] = {Int64GetDatum(rows->program_id), rows->ids[i]};
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		if (!table_find(books, table, 2, key) ||
			DatumGetBool(row_datum(table, rows->taken_in, &isnull)) != waited)
			continue;

		/* No update means that somebody, or an id before, was first. */
		table_begin_update(books, table);
		if (sequence)
			next_set(table, number, Int64GetDatum(nextval_internal(numbers, false)));
		next_set(table, rows->taken_in, BoolGetDatum(true));
		if (table_update(books, table, true))
			rows->ids[n++] = rows->ids[i];
	}
	rows->nids = n;
	books_refresh(books);
}

/*
 * CONTRACT section 1.  Not a CHECK: PostgreSQL parses those anew in every
 * statement, which cost more than the insert (docs/performance.md).  Raises
 * 23514 for a text that is shorter or longer; a NULL passes.
 */
void
intake_check_text(const TupleTableSlot *slot, int column, int at_least,
				  int at_most)
{
	text	   *value;
	int			bytes;

	if (slot->tts_isnull[column - 1])
		return;
	value = DatumGetTextPP(slot->tts_values[column - 1]);
	bytes = VARSIZE_ANY_EXHDR(value);
	if (bytes < at_least ||
		(bytes > at_most && pg_mbstrlen_with_len(VARDATA_ANY(value), bytes) > at_most))
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("text is empty or too long"),
				 errdetail("Column \"%s\" must have %d to %d characters.",
						   NameStr(TupleDescAttr(slot->tts_tupleDescriptor, column - 1)->attname),
						   at_least, at_most)));
}

/*
 * CONTRACT section 1: finite, and at most a day ahead.  Raises 22008.
 */
void
intake_check_instant(TimestampTz occurred_at, Datum id)
{
	if (TIMESTAMP_NOT_FINITE(occurred_at) ||
		occurred_at > GetCurrentStatementStartTimestamp() + USECS_PER_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("occurred_at is out of range"),
				 errdetail("\"%s\" occurred at %s.", TextDatumGetCString(id),
						   timestamptz_to_str(occurred_at)),
				 errhint("It must be finite and at most a day ahead.")));
}
