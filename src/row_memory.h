/*
 * row_memory.h
 *	  Where a session found rows, so that it needs no descent the next time.
 */
#ifndef REFERRAL_ROW_MEMORY_H
#define REFERRAL_ROW_MEMORY_H

#include "referral.h"

#include "storage/itemptr.h"
#include "storage/lock.h"

typedef struct RememberedRow
{
	uint32		hash;			/* of the table's file and the key */
	ItemPointerData root;		/* what an index entry points to */
	uint16		updates;		/* made in transaction lxid */
	LocalTransactionId lxid;
} RememberedRow;

extern RememberedRow *row_recall(uint32 hash);
extern RememberedRow *row_remember(uint32 hash, const ItemPointerData *root);
extern bool row_memory_has_room(void);
extern void rows_offer(int n, const uint32 *hashes, const ItemPointerData *roots);

#endif							/* REFERRAL_ROW_MEMORY_H */
