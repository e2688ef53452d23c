/*
 * source.h
 *	  An attached table as the C side sees it: which column means what, and
 *	  the way of its rows into referral.payment and referral.refund.
 *
 *	  source_map.c  referral.source -> Source, kept per session
 *	  source_row.c  a row of the table: does it count, what does a column say
 *	  source_feed.c rows of the table -> rows of the books
 *	  source_in.c   the triggers: rows of a statement -> source_feed.c
 *	  source_backfill.c   rows that were there already, in their order
 */
#ifndef REFERRAL_SOURCE_H
#define REFERRAL_SOURCE_H

#include "access/attnum.h"
#include "datatype/timestamp.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "utils/tuplestore.h"

/* What a column of an attached table is for; the order of columns in SQL. */
typedef enum SourceRole
{
	SOURCE_USER,
	SOURCE_AMOUNT,
	SOURCE_PAYMENT_ID,
	SOURCE_BASE,
	SOURCE_KIND,
	SOURCE_OCCURRED_AT,
	SOURCE_PAID_WHEN,
	SOURCE_REFUNDED,			/* of a payment, in all so far */
	SOURCE_REFUND_ID,			/* named = a table of refunds */
	SOURCE_REASON
} SourceRole;

#define SOURCE_ROLES (SOURCE_REASON + 1)

typedef struct SourceColumn
{
	AttrNumber	attno;			/* in the rows that are read; 0 = not named */
	Oid			type;			/* below any domain */
} SourceColumn;

typedef struct Source
{
	int64		program_id;
	int64		source_id;
	Oid			relation;		/* as attached: of a partition, its ancestor */
	NameData	table;			/* its name, for messages */
	int64		unit_micro;
	text	   *id_prefix;
	text	   *time_zone;		/* the program's, for instants without a zone */
	SourceColumn column[SOURCE_ROLES];
} Source;

static inline bool
source_names(const Source *source, SourceRole role)
{
	return source->column[role].attno != 0;
}

/* What becomes of a row as it stands. */
typedef enum SourceFate
{
	SOURCE_UNPAID,				/* paid_when is not true, or null */
	SOURCE_INCOMPLETE,			/* paid, but no user, amount or id */
	SOURCE_COUNTS
} SourceFate;

/* What a row that counts makes, in the order in which that is written. */
typedef enum FeedKind
{
	FEED_PAYMENT,
	FEED_REFUND,				/* a row of a table of refunds */
	FEED_REFUNDED				/* what was given back of a payment so far */
} FeedKind;

#define FEED_KINDS (FEED_REFUNDED + 1)

#define FEED_MAX_COLUMNS 6

/* Rows of one kind. */
typedef struct Gathered
{
	int64		count;
	Datum		first[FEED_MAX_COLUMNS];
	bool		first_null[FEED_MAX_COLUMNS];
	Tuplestorestate *rows;		/* from the second row on, all of them */
	TupleDesc	desc;
} Gathered;

/* The rows of one statement on their way in. */
typedef struct Feed
{
	const Source *source;
	Gathered	gathered[FEED_KINDS];
	MemoryContext row_context;
	int64		incomplete;		/* rows passed over for a null */
	int64		decreased;		/* rows whose refunded was lowered */
	int64		taken;			/* rows that are new in the books */
	int64		known;			/* rows whose id was there */
} Feed;

/* source_map.c */
extern const Source *source_find(Oid relid, int64 program_id, int64 source_id);
extern Oid	source_books_owner(void);
extern void source_become(Oid owner, int flags, Oid *was_user, int *was_context);

/* source_row.c */
extern SourceFate source_fate(const Source *source, TupleTableSlot *slot);
extern Datum source_value(const Source *source, TupleTableSlot *slot,
						  SourceRole role, bool *isnull);
extern int64 source_refunded(const Source *source, TupleTableSlot *slot);

/* source_feed.c */
extern void feed_begin(Feed *feed, const Source *source);
extern void feed_take(Feed *feed, TupleTableSlot *before, TupleTableSlot *after);
extern void feed_write(Feed *feed);
extern void feed_count_skipped(const Feed *feed);

#endif
