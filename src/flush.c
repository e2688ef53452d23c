/*
 * flush.c
 *	  Numbers that outlive a crash before their transaction commits.
 *
 * next_events() hands ids out that a worker may keep though its transaction
 * never commits.  A sequence does not go back when that rolls back, but in a
 * crash it does, as far as its log was not flushed (sql/code/events.sql).
 */
#include "postgres.h"

#include "access/xlog.h"
#include "fmgr.h"

PG_FUNCTION_INFO_V1(referral_flush_log);

/*
 * Flush what this transaction has logged and with it whatever was logged
 * before, by whomever: another session may have advanced the sequence.
 */
Datum
referral_flush_log(PG_FUNCTION_ARGS)
{
	XLogFlush(XactLastRecEnd);
	PG_RETURN_VOID();
}
