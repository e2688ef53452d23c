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
#include "mb/pg_wchar.h"
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

/* Will the function `name` fire after this statement?  It can be disabled alone. */
static bool
after_trigger_fires(Relation relation, const char *name)
{
	const char	off = SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA
		? TRIGGER_FIRES_ON_ORIGIN : TRIGGER_FIRES_ON_REPLICA;

	for (int i = 0; i < relation->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &relation->trigdesc->triggers[i];

		if (TRIGGER_TYPE_MATCHES(trigger->tgtype, TRIGGER_TYPE_STATEMENT,
								 TRIGGER_TYPE_AFTER, TRIGGER_TYPE_INSERT) &&
			trigger->tgenabled != TRIGGER_DISABLED && trigger->tgenabled != off &&
			strcmp(get_func_name(trigger->tgfoid), name) == 0)
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
	if (after_trigger_fires(relation, after))
		raise_intake(intake);
}

/*
 * Return the program of a row.  Raises 23503 where there is none.
 */
const Program *
intake_program(Books *books, int64 program_id)
{
	const Program *program = program_find(books, program_id);

	if (!program)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("program does not exist"),
				 errdetail("There is no program %lld.", (long long) program_id),
				 errhint("Insert it into referral.program first.")));
	return program;
}

/*
 * CONTRACT section 1.  Not a CHECK: PostgreSQL parses those anew in every
 * statement, which cost more than the insert (docs/performance.md).  Raises
 * 23514 for a text that is empty or longer; a NULL passes.
 */
void
intake_check_text(const TupleTableSlot *slot, int column, int at_most)
{
	text	   *value;
	int			bytes;

	if (slot->tts_isnull[column - 1])
		return;
	value = DatumGetTextPP(slot->tts_values[column - 1]);
	bytes = VARSIZE_ANY_EXHDR(value);
	if (bytes == 0 ||
		(bytes > at_most && pg_mbstrlen_with_len(VARDATA_ANY(value), bytes) > at_most))
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("text is empty or too long"),
				 errdetail("Column \"%s\" must have 1 to %d characters.",
						   NameStr(TupleDescAttr(slot->tts_tupleDescriptor, column - 1)->attname),
						   at_most)));
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
