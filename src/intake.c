/*
 * intake.c
 *	  Whether a statement that inserts payments is running under our triggers.
 *
 * The default of payment.taken_in reads the setting referral.taking_in.  The
 * BEFORE statement trigger raises it, the AFTER statement trigger lowers it;
 * so every row says by itself whether the engine saw it, at no cost, and a
 * payment that no trigger saw differs from one that earned nothing.  Statements
 * nest (a payment inserted by a function that an insert calls), errors undo.
 */
#include "postgres.h"

#include "access/xact.h"
#include "intake.h"
#include "nodes/pg_list.h"
#include "utils/guc.h"
#include "utils/memutils.h"

/* Nest level of the transaction at each statement that is running. */
static List *raised = NIL;

static bool taking_in_variable = false;

static const char *
show_taking_in(void)
{
	return raised != NIL ? "on" : "off";
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			raised = NIL;		/* its memory went with the transaction */
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
	while (raised != NIL && llast_int(raised) >= GetCurrentTransactionNestLevel())
		raised = list_delete_last(raised);
}

/*
 * Define the setting and register what undoes it.  Called once, from
 * _PG_init().
 */
void
intake_init(void)
{
	DefineCustomBoolVariable("referral.taking_in",
							 "Whether the engine sees the payments of the running statement.",
							 NULL, &taking_in_variable, false, PGC_INTERNAL,
							 GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
							 NULL, NULL, show_taking_in);
	RegisterXactCallback(end_of_transaction, NULL);
	RegisterSubXactCallback(end_of_subtransaction, NULL);
}

/*
 * A statement that inserts payments begins.
 */
void
intake_raise(void)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

	raised = lappend_int(raised, GetCurrentTransactionNestLevel());
	MemoryContextSwitchTo(old);
}

/*
 * It has inserted them.
 */
void
intake_lower(void)
{
	if (raised != NIL)
		raised = list_delete_last(raised);
}
