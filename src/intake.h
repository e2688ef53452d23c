/*
 * intake.h
 *	  What payments and refunds have in common on their way in.
 */
#ifndef REFERRAL_INTAKE_H
#define REFERRAL_INTAKE_H

#include "program_cache.h"

#include "commands/trigger.h"
#include "fmgr.h"

typedef enum Intake
{
	INTAKE_PAYMENTS,
	INTAKE_REFUNDS,
	INTAKE_COUNT
} Intake;

extern void intake_init(void);
extern TriggerData *intake_trigger(FunctionCallInfo fcinfo, TableId table,
								   bool after);
extern void intake_begin(Intake intake, Relation relation, const char *after);
extern void intake_lower(Intake intake);
extern bool intake_is_raised(Intake intake);
extern const Program *intake_program(Books *books, int64 program_id);
extern void intake_check_text(const TupleTableSlot *slot, int column,
							  int at_most);
extern void intake_check_instant(TimestampTz occurred_at, Datum id);

#endif							/* REFERRAL_INTAKE_H */
