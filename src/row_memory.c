/*
 * row_memory.c
 *	  Where a session found rows, so that it needs no descent the next time.
 *
 * A set-associative memory, as in a processor's cache: a row has its place in
 * one bucket of four side by side; the row used last is in front and the one in
 * the back gives way.  Up to MAX_BUCKETS the memory doubles when it is half
 * full, so that hardly a row gives way before.
 *
 * The neighbours in the index of rows that were looked for are remembered, too,
 * as long as there is room (table_find.c).
 *
 * What is remembered is the line pointer that index entries lead to, because it
 * stays where it is while updates stay on the page.  All of it is a hint:
 * tables.c looks whether a visible row with the right key is there.
 */
#include "row_memory.h"

#include "storage/proc.h"
#include "utils/memutils.h"

#define BUCKET_SIZE		4
#define MIN_BUCKETS		256
#define MAX_BUCKETS		65536	/* of 64 bytes: four megabytes */

typedef struct Bucket
{
	RememberedRow row[BUCKET_SIZE];
} Bucket;

static Bucket *buckets = NULL;
static uint32 nbuckets = 0;		/* a power of two */
static uint32 nrows = 0;

static Bucket *
bucket_of(uint32 hash)
{
	return &buckets[hash & (nbuckets - 1)];
}

/* Open a place in front; what is in the back gives way. */
static RememberedRow *
push(Bucket *bucket)
{
	if (!ItemPointerIsValid(&bucket->row[BUCKET_SIZE - 1].root))
		nrows++;
	memmove(&bucket->row[1], &bucket->row[0],
			(BUCKET_SIZE - 1) * sizeof(RememberedRow));
	memset(&bucket->row[0], 0, sizeof(RememberedRow));
	return &bucket->row[0];
}

static void
grow(void)
{
	Bucket	   *old = buckets;
	uint32		nold = nbuckets;
	uint32		nnew = nold ? 2 * nold : MIN_BUCKETS;

	buckets = MemoryContextAllocZero(TopMemoryContext, nnew * sizeof(Bucket));
	nbuckets = nnew;
	nrows = 0;
	for (uint32 b = 0; b < nold; b++)
	{
		for (int i = BUCKET_SIZE - 1; i >= 0; i--)
		{
			if (ItemPointerIsValid(&old[b].row[i].root))
				*push(bucket_of(old[b].row[i].hash)) = old[b].row[i];
		}
	}
	if (old)
		pfree(old);
}

/*
 * Return what is remembered under the hash, or NULL; valid until the next row
 * is remembered.  Its count of updates is of the current transaction.
 */
RememberedRow *
row_recall(uint32 hash)
{
	Bucket	   *bucket;

	if (nbuckets == 0)
		return NULL;
	bucket = bucket_of(hash);
	for (int i = 0; i < BUCKET_SIZE; i++)
	{
		RememberedRow row = bucket->row[i];

		if (row.hash != hash || !ItemPointerIsValid(&row.root))
			continue;
		if (row.lxid != MyProc->lxid)
		{
			row.lxid = MyProc->lxid;
			row.updates = 0;
		}
		memmove(&bucket->row[1], &bucket->row[0], i * sizeof(RememberedRow));
		bucket->row[0] = row;
		return &bucket->row[0];
	}
	return NULL;
}

/*
 * Remember, for the rest of the session, that a row is at `root`, also where
 * another one was remembered under the hash; its count of updates goes on.
 */
RememberedRow *
row_remember(uint32 hash, const ItemPointerData *root)
{
	RememberedRow *row = row_recall(hash);

	if (!row)
	{
		if (nrows >= nbuckets * BUCKET_SIZE / 2 && nbuckets < MAX_BUCKETS)
			grow();
		row = push(bucket_of(hash));
		row->hash = hash;
		row->lxid = MyProc->lxid;
	}
	row->root = *root;
	return row;
}

/*
 * Is there room for rows that nobody asked for?
 */
bool
row_memory_has_room(void)
{
	return nbuckets < MAX_BUCKETS || nrows < MAX_BUCKETS * BUCKET_SIZE / 2;
}

/* Put the row where no other gives way, if there is such a place. */
static void
offer(uint32 hash, const ItemPointerData *root)
{
	Bucket	   *bucket = bucket_of(hash);

	for (int i = 0; i < BUCKET_SIZE; i++)
	{
		RememberedRow *row = &bucket->row[i];

		if (!ItemPointerIsValid(&row->root))
		{
			*row = (RememberedRow)
			{
				.hash = hash, .root = *root
			};
			nrows++;
			return;
		}
		if (row->hash == hash)
			return;
	}
}

/*
 * Remember n rows, too, that may be asked for later; no other row gives way.
 */
void
rows_offer(int n, const uint32 *hashes, const ItemPointerData *roots)
{
	while (nrows + n > nbuckets * BUCKET_SIZE / 2 && nbuckets < MAX_BUCKETS)
		grow();
	/* They are anywhere in the memory: wait for all of it at once. */
	for (int i = 0; i < n; i++)
		__builtin_prefetch(bucket_of(hashes[i]), 1);
	for (int i = 0; i < n; i++)
		offer(hashes[i], &roots[i]);
}
