/*
 * source_feed.c
 *	  Rows of an attached table become rows of referral.payment and
 *	  referral.refund, in their order, by one statement each, payments first.
 *
 *	  Memory: one context per row from the second of its kind on; the gathered
 *	  rows are in tuplestores, which spill past work_mem.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "source.h"

#define ROWS_NAME "referral_rows"

typedef struct FeedColumn
{
	const char *name;
	Oid			type;
	SourceRole	role;
} FeedColumn;

/*
 * How the rows of a kind are written; %s stands for them.
 *
 * The texts hold no name of the application's: columns were found by number,
 * values come as parameters or through the tuplestore. They name nothing that
 * search_path could decide, so it is not pinned.
 *
 * A payment's refunded is a total. What lacks in the books is a refund that
 * bears the total before it, so that it is made once whoever finds it missing:
 * of a trigger and a backfill that do so at once, one waits for the other at
 * the primary key. Where rows share a payment, the greatest total is its.
 */
static const struct
{
	const char *text;
	int			columns;
	FeedColumn	column[FEED_MAX_COLUMNS];
}			feed_info[FEED_KINDS] = {
	[FEED_PAYMENT] = {
		"INSERT INTO referral.payment"
		" (program_id, payment_id, user_id, amount_micro, base_micro, kind, occurred_at)"
		" SELECT $1, r.payment_id, r.user_id, r.amount_micro, r.base_micro, r.kind, r.occurred_at"
		" FROM %s r ON CONFLICT DO NOTHING",
		6, {
			{"payment_id", TEXTOID, SOURCE_PAYMENT_ID},
			{"user_id", TEXTOID, SOURCE_USER},
			{"amount_micro", INT8OID, SOURCE_AMOUNT},
			{"base_micro", INT8OID, SOURCE_BASE},
			{"kind", TEXTOID, SOURCE_KIND},
			{"occurred_at", TIMESTAMPTZOID, SOURCE_OCCURRED_AT}
		}
	},
	[FEED_REFUND] = {
		"INSERT INTO referral.refund"
		" (program_id, refund_id, payment_id, amount_micro, reason, occurred_at)"
		" SELECT $1, r.refund_id, r.payment_id, r.amount_micro, r.reason, r.occurred_at"
		" FROM %s r ON CONFLICT DO NOTHING",
		5, {
			{"refund_id", TEXTOID, SOURCE_REFUND_ID},
			{"payment_id", TEXTOID, SOURCE_PAYMENT_ID},
			{"amount_micro", INT8OID, SOURCE_AMOUNT},
			{"reason", TEXTOID, SOURCE_REASON},
			{"occurred_at", TIMESTAMPTZOID, SOURCE_OCCURRED_AT}
		}
	},
	[FEED_REFUNDED] = {
		"INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro)"
		" SELECT $1, pg_catalog.concat(t.payment_id, ':', k.micro), t.payment_id,"
		" t.micro OPERATOR(pg_catalog.-) k.micro"
		" FROM (SELECT n.payment_id, pg_catalog.max(n.refunded) AS micro, pg_catalog.min(n.n) AS n"
		" FROM (SELECT r.payment_id, r.refunded, pg_catalog.row_number() OVER () AS n FROM %s r) n"
		" GROUP BY n.payment_id) t"
		" CROSS JOIN LATERAL (SELECT coalesce(pg_catalog.sum(x.amount_micro), 0)::pg_catalog.int8 AS micro"
		" FROM referral.refund x WHERE x.program_id OPERATOR(pg_catalog.=) $1"
		" AND x.refund_id OPERATOR(pg_catalog.>=) pg_catalog.concat(t.payment_id, ':')"
		" AND x.refund_id OPERATOR(pg_catalog.<) pg_catalog.concat(t.payment_id, ';')"	/* after : */
		" AND x.payment_id OPERATOR(pg_catalog.=) t.payment_id) k"
		" WHERE t.micro OPERATOR(pg_catalog.>) k.micro ORDER BY t.n ON CONFLICT DO NOTHING",
		2, {
			{"payment_id", TEXTOID, SOURCE_PAYMENT_ID},
			{"refunded", INT8OID, SOURCE_REFUNDED}
		}
	}
};

static const char *const write_skipped =
	"INSERT INTO referral.source_skipped (program_id, source_id, incomplete, known, decreased)"
	" VALUES ($1, $2, $3, $4, $5)";

/* By kind, for one row and for many. */
static SPIPlanPtr feed_plan[FEED_KINDS][2];
static SPIPlanPtr skipped_plan = NULL;

void
feed_begin(Feed *feed, const Source *source)
{
	memset(feed, 0, sizeof(Feed));
	feed->source = source;
}

static void
read_row(const Feed *feed, FeedKind kind, TupleTableSlot *slot, Datum *row, bool *nulls)
{
	for (int i = 0; i < feed_info[kind].columns; i++)
		row[i] = source_value(feed->source, slot, feed_info[kind].column[i].role, &nulls[i]);
}

/* A second row: from here on they are kept in a tuplestore. */
static void
open_rows(Feed *feed, FeedKind kind)
{
	Gathered   *gathered = &feed->gathered[kind];

	gathered->desc = CreateTemplateTupleDesc(feed_info[kind].columns);
	for (int i = 0; i < feed_info[kind].columns; i++)
		TupleDescInitEntry(gathered->desc, i + 1, feed_info[kind].column[i].name,
						   feed_info[kind].column[i].type, -1, 0);
	gathered->rows = tuplestore_begin_heap(false, false, work_mem);
	tuplestore_putvalues(gathered->rows, gathered->desc, gathered->first, gathered->first_null);
	if (feed->row_context == NULL)
		feed->row_context = AllocSetContextCreate(CurrentMemoryContext, "referral source row",
												  ALLOCSET_DEFAULT_SIZES);
}

/* Gathers what slot makes of this kind. */
static void
add(Feed *feed, FeedKind kind, TupleTableSlot *slot)
{
	Gathered   *gathered = &feed->gathered[kind];
	Datum		row[FEED_MAX_COLUMNS];
	bool		nulls[FEED_MAX_COLUMNS];
	MemoryContext was;

	if (gathered->count++ == 0)
	{
		read_row(feed, kind, slot, gathered->first, gathered->first_null);
		return;
	}
	if (gathered->rows == NULL)
		open_rows(feed, kind);
	was = MemoryContextSwitchTo(feed->row_context);
	read_row(feed, kind, slot, row, nulls);
	tuplestore_putvalues(gathered->rows, gathered->desc, row, nulls);
	MemoryContextSwitchTo(was);
	MemoryContextReset(feed->row_context);
}

/*
 * A row as it stands, and as it stood before if it was updated: gathered,
 * counted as incomplete, or left.
 *
 * An updated row counts when it does so for the first time. One that did
 * before the table was attached, and was not asked for by backfill(), is not
 * taken in because somebody corrects its address.
 */
void
feed_take(Feed *feed, TupleTableSlot *before, TupleTableSlot *after)
{
	const Source *source = feed->source;
	SourceFate	fate = source_fate(source, after);
	SourceFate	was = before ? source_fate(source, before) : SOURCE_UNPAID;
	bool		is_new = before == NULL || (fate > was && source_names(source, SOURCE_PAID_WHEN));
	int64		raised = 0;

	if (fate == SOURCE_UNPAID)
		return;
	if (source_names(source, SOURCE_REFUNDED))
		raised = source_refunded(source, after) -
			(was < fate ? 0 : source_refunded(source, before));
	if (raised < 0)
		feed->decreased++;

	if (fate == SOURCE_INCOMPLETE)
	{
		feed->incomplete += is_new || raised > 0;
		return;
	}
	if (is_new)
		add(feed, source_names(source, SOURCE_REFUND_ID) ? FEED_REFUND : FEED_PAYMENT, after);
	if (raised > 0)
		add(feed, FEED_REFUNDED, after);
}

/* The text of a kind, reading many rows, or one from parameters. */
static char *
text_of_kind(FeedKind kind, bool many)
{
	StringInfoData one;

	if (many)
		return psprintf(feed_info[kind].text, ROWS_NAME);
	initStringInfo(&one);
	for (int i = 0; i < feed_info[kind].columns; i++)
		appendStringInfo(&one, "%s $%d AS %s", i == 0 ? "(SELECT" : ",", i + 2,
						 feed_info[kind].column[i].name);
	appendStringInfoChar(&one, ')');
	return psprintf(feed_info[kind].text, one.data);
}

static SPIPlanPtr
prepared(const char *text, int nargs, Oid *types)
{
	SPIPlanPtr	plan = SPI_prepare_cursor(text, nargs, types, CURSOR_OPT_GENERIC_PLAN);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	return plan;
}

/*
 * Runs an INSERT and returns how many rows it made. By the latest snapshot: a
 * transaction at REPEATABLE READ may be older than what is known.
 */
static int64
run(SPIPlanPtr plan, Datum *args, const char *nulls)
{
	if (SPI_execute_snapshot(plan, args, nulls, GetLatestSnapshot(), InvalidSnapshot,
							 false, true, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not write what a source feeds");
	return SPI_processed;
}

/* One statement with the rows of a kind; returns how many are new. */
static int64
insert_rows(const Feed *feed, FeedKind kind)
{
	const Gathered *gathered = &feed->gathered[kind];
	bool		many = gathered->count > 1;
	SPIPlanPtr *plan = &feed_plan[kind][many];
	int			columns = many ? 0 : feed_info[kind].columns;
	Oid			types[1 + FEED_MAX_COLUMNS] = {INT8OID};
	Datum		args[1 + FEED_MAX_COLUMNS] = {Int64GetDatum(feed->source->program_id)};
	char		nulls[1 + FEED_MAX_COLUMNS] = {' '};
	EphemeralNamedRelationData rows = {
		.md = {
			.name = ROWS_NAME,
			.tupdesc = gathered->desc,
			.enrtype = ENR_NAMED_TUPLESTORE,
			.enrtuples = gathered->count
		},
		.reldata = gathered->rows
	};
	int64		taken;

	for (int i = 0; i < columns; i++)
	{
		types[i + 1] = feed_info[kind].column[i].type;
		args[i + 1] = gathered->first[i];
		nulls[i + 1] = gathered->first_null[i] ? 'n' : ' ';
	}
	if (many && SPI_register_relation(&rows) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register " ROWS_NAME);
	if (*plan == NULL)
		*plan = prepared(text_of_kind(kind, many), 1 + columns, types);
	taken = run(*plan, args, nulls);
	if (many)
		SPI_unregister_relation(ROWS_NAME);
	return taken;
}

/*
 * A statement makes less than was asked where the total was reached before, or
 * is by somebody else meanwhile; a second one sees which, and makes what still
 * lacks.
 */
static int64
insert_refunded(const Feed *feed)
{
	int64		taken = 0;
	int			idle = 0;

	while (taken < feed->gathered[FEED_REFUNDED].count && idle < 2)
	{
		int64		made = insert_rows(feed, FEED_REFUNDED);

		taken += made;
		idle = made > 0 ? 0 : idle + 1;
	}
	return taken;
}

static void
insert_kind(Feed *feed, FeedKind kind)
{
	int64		count = feed->gathered[kind].count;
	int64		taken;

	if (count == 0)
		return;
	if (kind == FEED_REFUNDED)
		taken = insert_refunded(feed);
	else
	{
		taken = insert_rows(feed, kind);
		feed->known += count - taken;
	}
	feed->taken += taken;
	if (count > 1)
		tuplestore_end(feed->gathered[kind].rows);
}

/* Which table a refusal of the engine is about. */
static void
name_source(void *arg)
{
	const Source *source = arg;

	errcontext("table %s, attached to program %lld",
			   quote_identifier(NameStr(source->table)), (long long) source->program_id);
}

/*
 * Writes what was gathered, with the rights of the owner of the books. An id
 * that is known is left as it is.
 */
void
feed_write(Feed *feed)
{
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = name_source,
		.arg = unconstify(Source *, feed->source)
	};
	Oid			was_user;
	int			was_context;

	if (feed->gathered[FEED_PAYMENT].count + feed->gathered[FEED_REFUND].count +
		feed->gathered[FEED_REFUNDED].count == 0)
		return;
	error_context_stack = &context;
	SPI_connect();
	source_become(source_books_owner(), 0, &was_user, &was_context);
	for (FeedKind kind = 0; kind < FEED_KINDS; kind++)
		insert_kind(feed, kind);
	SetUserIdAndSecContext(was_user, was_context);
	SPI_finish();
	error_context_stack = context.previous;
	if (feed->row_context != NULL)
		MemoryContextDelete(feed->row_context);
}

/* A row of its own each time, so that no statement waits for another. */
void
feed_count_skipped(const Feed *feed)
{
	Datum		args[] = {
		Int64GetDatum(feed->source->program_id), Int64GetDatum(feed->source->source_id),
		Int64GetDatum(feed->incomplete), Int64GetDatum(feed->known),
		Int64GetDatum(feed->decreased)
	};
	Oid			was_user;
	int			was_context;

	if (feed->incomplete == 0 && feed->known == 0 && feed->decreased == 0)
		return;
	SPI_connect();
	source_become(source_books_owner(), 0, &was_user, &was_context);
	if (skipped_plan == NULL)
	{
		Oid			types[] = {INT8OID, INT8OID, INT8OID, INT8OID, INT8OID};

		skipped_plan = prepared(write_skipped, lengthof(types), types);
	}
	(void) run(skipped_plan, args, NULL);
	SetUserIdAndSecContext(was_user, was_context);
	SPI_finish();
}
