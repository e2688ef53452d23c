/*
 * intake.h
 *	  What payments and refunds have in common on their way in.
 */
#ifndef REFERRAL_INTAKE_H
#define REFERRAL_INTAKE_H

#include "program_cache.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/tuplestore.h"

typedef enum Intake
{
	INTAKE_PAYMENTS,
	INTAKE_REFUNDS,
	INTAKE_COUNT
} Intake;

/*
 * Rows of payment or refund that a run takes in: a statement's transition
 * table, or the table itself, by ids.
 */
typedef struct IntakeRows
{
	Books	   *books;
	TableId		table;
	AttrNumber	taken_in;		/* its column */
	Tuplestorestate *rows;		/* read through slot */
	TupleTableSlot *slot;
	int64		program_id;
	Datum	   *ids;			/* text, where there is no transition table */
	int			nids;
	int			next_id;
	const Program *last_program;	/* rows of one program come together */
} IntakeRows;

extern void intake_init(void);
extern TriggerData *intake_trigger(FunctionCallInfo fcinfo, TableId table,
								   bool after);
extern void intake_begin(Intake intake, Relation relation, const char *after);
extern void intake_lower(Intake intake);
extern bool intake_is_raised(Intake intake);
extern void intake_rows_of(IntakeRows *rows, TriggerData *trigger);
extern void intake_ids(IntakeRows *rows, int64 program_id, ArrayType *ids);
extern void intake_rewind(IntakeRows *rows);
extern TupleTableSlot *intake_next(IntakeRows *rows);
extern const Program *intake_program(IntakeRows *rows, int64 program_id);
extern void intake_claim(IntakeRows *rows, bool waited, AttrNumber number,
						 const char *sequence);
extern void intake_check_text(const TupleTableSlot *slot, int column,
							  int at_least, int at_most);
extern void intake_check_instant(TimestampTz occurred_at, Datum id);

#endif							/* REFERRAL_INTAKE_H */
