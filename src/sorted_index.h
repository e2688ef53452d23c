/*
 * sorted_index.h
 *	  Many entries for one index at once.
 */
#ifndef REFERRAL_SORTED_INDEX_H
#define REFERRAL_SORTED_INDEX_H

#include "referral.h"

#include "nodes/execnodes.h"
#include "storage/itemptr.h"
#include "utils/rel.h"

/* Columns of an index that this module fills, at most. */
#define SORTED_INDEX_KEYS	3

typedef struct IndexEntry
{
	int64		key[SORTED_INDEX_KEYS]; /* those that the index has not are 0 */
	ItemPointerData tid;
} IndexEntry;

extern bool index_takes_sorted(Relation heap, Relation index, const IndexInfo *info);
extern void index_insert_sorted(Relation heap, Relation index, IndexInfo *info,
								IndexEntry *entries, int n);

#endif							/* REFERRAL_SORTED_INDEX_H */
