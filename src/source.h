/*
 * source.h
 *	  An attached table as the C side sees it: which column means what, and
 *	  the way of its rows into referral.payment.
 *
 *	  source_map.c  referral.source -> Source, kept per session
 *	  source_row.c  a row of the table -> a payment, not yet written
 *	  source_in.c   the triggers: rows of a statement -> referral.payment
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
	SOURCE_PAID_WHEN
} SourceRole;

#define SOURCE_ROLES (SOURCE_PAID_WHEN + 1)

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

/* Columns of referral.payment that a row fills, in the order of the INSERT. */
#define PAYMENT_COLUMNS 6

/* What becomes of a row as it stands. */
typedef enum SourceFate
{
	SOURCE_UNPAID,				/* paid_when is not true, or null */
	SOURCE_INCOMPLETE,			/* paid, but no user, amount or payment id */
	SOURCE_COUNTS
} SourceFate;

/* The rows of one statement on their way in. */
typedef struct Feed
{
	const Source *source;
	int64		count;			/* payments gathered */
	int64		incomplete;		/* rows passed over for a null */
	Datum		first[PAYMENT_COLUMNS];
	bool		first_null[PAYMENT_COLUMNS];
	Tuplestorestate *rows;		/* from the second payment on, all of them */
	TupleDesc	desc;
	MemoryContext row_context;
} Feed;

/* source_map.c */
extern const Source *source_find(Oid relid, int64 program_id, int64 source_id);
extern Oid	source_books_owner(void);
extern void source_become(Oid owner, int flags, Oid *was_user, int *was_context);

/* source_row.c */
extern SourceFate source_fate(const Source *source, TupleTableSlot *slot);
extern void source_payment(const Source *source, TupleTableSlot *slot,
							  Datum *payment, bool *nulls);

/* source_in.c */
extern void feed_begin(Feed *feed, const Source *source);
extern void feed_take(Feed *feed, TupleTableSlot *slot);
extern int64 feed_write(Feed *feed);

#endif
