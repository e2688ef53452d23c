/*
 * savepoints.c
 *	  What a transaction with a savepoint for each payment needs of memory.
 *
 * A statement trigger's transition tables live in CurTransactionContext.  All of
 * it is given back when the statement ends, but PostgreSQL keeps the context of
 * a subtransaction that was ever used, 8 kB each, until the transaction ends.
 */
#include "postgres.h"

#include "access/xact.h"
#include "savepoints.h"
#include "utils/memutils.h"

/* Bytes in use of a context of one block, its own administration included. */
static Size
bytes_in_use(MemoryContext context, Size *nblocks)
{
	MemoryContextCounters counters = {0};

	context->methods->stats(context, NULL, NULL, &counters, false);
	*nblocks = counters.nblocks;
	return counters.totalspace - counters.freespace;
}

/* What is in use where everything was given back. */
static Size
bytes_of_administration(void)
{
	static Size bytes = 0;
	Size		nblocks;

	if (bytes == 0)
	{
		MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
													  "referral measure",
													  ALLOCSET_DEFAULT_SIZES);

		pfree(MemoryContextAlloc(context, 1));
		bytes = bytes_in_use(context, &nblocks);
		MemoryContextDelete(context);
	}
	return bytes;
}

static void
forget_empty_context(SubXactEvent event, SubTransactionId subid,
					 SubTransactionId parent, void *arg)
{
	Size		nblocks;

	if (event == SUBXACT_EVENT_COMMIT_SUB && !CurTransactionContext->isReset &&
		CurTransactionContext->firstchild == NULL &&
		CurTransactionContext->reset_cbs == NULL &&
		bytes_in_use(CurTransactionContext, &nblocks) == bytes_of_administration() &&
		nblocks == 1)
		MemoryContextReset(CurTransactionContext);
}

/*
 * Register what this module needs per session.  Called once, from _PG_init().
 */
void
savepoints_init(void)
{
	RegisterSubXactCallback(forget_empty_context, NULL);
}
