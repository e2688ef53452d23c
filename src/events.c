/*
 * events.c
 *	  What a run leaves for the outbox.
 *
 * Rows of event_pending, in the transaction of what happened; next_events()
 * numbers them once they are committed (sql/code/events.sql).  A program
 * without events costs one look at its configuration.
 */
#include "postgres.h"

#include "commands/sequence.h"
#include "events.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* Column numbers of sql/model/120_event.sql. */
enum
{
	EVENT_PROGRAM_ID = 1,
	EVENT_EVENT_NO,
	EVENT_SUBJECT_ID,
	EVENT_AMOUNT_MICRO,
	EVENT_CREATED_AT,
	EVENT_KIND,
	EVENT_STATE
};

struct Events
{
	Books	   *books;
	RowBatch   *rows;			/* NULL until a program keeps events */
	Oid			numbers;		/* the sequence */
};

/*
 * Begin a run without events; everything lives in the run's memory.
 */
Events *
events_begin(Books *books)
{
	Events	   *events = MemoryContextAllocZero(books->context, sizeof(Events));

	events->books = books;
	return events;
}

/*
 * Leave an event, where the program keeps them; `kind` and what the subject is
 * are told by sql/model/120_event.sql.  An amount of 0, in micro-units, and a
 * state of NULL are none.
 */
void
events_add(Events *events, const Program *program, const char *kind,
		   int64 subject_id, int64 amount_micro, const char *state)
{
	TupleTableSlot *row;
	MemoryContext old;

	if (!program->keeps_events)
		return;
	if (!events->rows)
	{
		events->rows = batch_begin(events->books, TABLE_EVENT_PENDING);
		events->numbers = get_relname_relid("event_no_seq", events->books->namespace);
	}

	row = batch_row(events->rows);
	slot_set(row, EVENT_PROGRAM_ID, Int64GetDatum(program->program_id));
	slot_set(row, EVENT_EVENT_NO,
			 Int64GetDatum(nextval_internal(events->numbers, false)));
	slot_set(row, EVENT_SUBJECT_ID, Int64GetDatum(subject_id));
	if (amount_micro != 0)
		slot_set(row, EVENT_AMOUNT_MICRO, Int64GetDatum(amount_micro));
	slot_set(row, EVENT_CREATED_AT, TimestampTzGetDatum(events->books->now));
	old = MemoryContextSwitchTo(events->rows->context);
	slot_set(row, EVENT_KIND, CStringGetTextDatum(kind));
	if (state)
		slot_set(row, EVENT_STATE, CStringGetTextDatum(state));
	MemoryContextSwitchTo(old);
}

/*
 * Write what is left.
 */
void
events_end(Events *events)
{
	if (events->rows)
		batch_end(events->rows);
}
