/*
 * source_in.c
 *	  The triggers of attached tables: they feed the books with the rows of the
 *	  application's statement.
 *
 *	  A plain table has statement triggers with transition tables, so that bulk
 *	  stays bulk. PostgreSQL gives those neither to rows written to a partition
 *	  directly nor to partitions added later; a partitioned table has a row
 *	  trigger, which it clones to every partition, and pays per row.
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
		if (update && !tuplestore_gettupleslot(trigger->tg_oldtable, true, false, before))
			elog(ERROR, "transition tables differ in length");
		feed_take(feed, before, after);
	}
	ExecDropSingleTupleTableSlot(after);
	if (update)
		ExecDropSingleTupleTableSlot(before);
}

static void
take_row(Feed *feed, TriggerData *trigger)
{
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		feed_take(feed, trigger->tg_trigslot, trigger->tg_newslot);
	else
		feed_take(feed, NULL, trigger->tg_trigslot);
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
		  (source_names(source, SOURCE_PAID_WHEN) ||
		   source_names(source, SOURCE_REFUNDED))))
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("function \"%s\" must be fired for INSERT, or for UPDATE where paid_when or refunded is named",
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
 * AFTER INSERT, and where paid_when or refunded is named AFTER UPDATE, of an
 * attached table, made by referral.attach() or referral.attach_refunds();
 * arguments: program_id, source_id.
 */
Datum
referral_source_in(PG_FUNCTION_ARGS)
{
	const Source *source = check_call(fcinfo);
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Feed		feed;

	feed_begin(&feed, source);
	if (TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		take_row(&feed, trigger);
	else
		take_statement(&feed, trigger);
	feed_write(&feed);
	/* paid, not paid, paid again is no accident; an id inserted twice is one */
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		feed.known = 0;
	feed_count_skipped(&feed);
	return PointerGetDatum(NULL);
}
