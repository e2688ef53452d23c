/*
 * sorted_index.h
 *	  Many entries or keys of one index at once.
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

/* What an index says of a key. */
typedef struct IndexFind
{
	ItemPointerData tid;		/* of the first entry; invalid: look for yourself */
	bool		absent;			/* there is none */
} IndexFind;

extern bool index_takes_sorted(Relation heap, Relation index, const IndexInfo *info);
extern void index_insert_sorted(Relation heap, Relation index, IndexInfo *info,
								IndexEntry *entries, int n);
extern void index_find_sorted(Relation index, int nkeys, int n,
							  void (*key_of) (const void *state, int i, Datum *key),
							  const void *state, IndexFind *finds);

#endif							/* REFERRAL_SORTED_INDEX_H */
