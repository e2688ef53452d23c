/*
 * sorted_index.c
 *	  Many entries or keys of one index at once, leaf by leaf.
 *
 * PostgreSQL inserts one entry at a time: a descent, a lock and a WAL record
 * each.  Of many entries in the order of the index a whole run belongs to one
 * leaf, so here a descent finds the leaf, all entries that fit are put onto it
 * under one lock, and one WAL record says what changed on the page.  In bulk
 * that is a tenth of the instructions and half of the WAL (docs/performance.md).
 *
 * Only what is always the same is done here: put an item onto a leaf that has
 * room, between two others.  Whatever is more than that is left to
 * index_insert(): pages that are full (splits, removal of dead entries), keys
 * that are there already (uniqueness, who waits for whom), keys at the very
 * edge of a leaf, and entries that are few.  The rules of nbtree/README hold:
 *
 * - _bt_search() returns the leaf to which a new key belongs, write-locked, and
 *	 completes splits that a crash interrupted;
 * - a key strictly below the leaf's high key belongs to this leaf, if it is not
 *	 below one that does;
 * - whoever inserts the same key locks the same leaf first, so a unique key that
 *	 is not there while we hold it is nobody's.
 *
 * Many keys are looked for in the same way: a descent finds a leaf, and what is
 * on it answers for all keys that belong there.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/generic_xlog.h"
#include "access/nbtree.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_opfamily_d.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "sorted_index.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"

/*
 * Fewer on one leaf are inserted one by one: a record of the changed parts of a
 * page would be longer than theirs.
 */
#define MIN_RUN		8

/* Where leaves take few, entries that go one by one before the next is tried. */
#define MAX_SINGLE	64

/* Keys compare as arrays of bigints: what an index has not is 0 everywhere. */
static inline int
compare_keys(const int64 *a, const int64 *b, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
	}
	return 0;
}

#define ST_SORT sort_entries
#define ST_ELEMENT_TYPE IndexEntry
#define ST_COMPARE(a, b) compare_keys((a)->key, (b)->key, SORTED_INDEX_KEYS)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/*
 * Is it a B-tree of bigints that are never NULL, in their natural order, and
 * of nothing else?
 */
bool
index_takes_sorted(Relation heap, Relation index, const IndexInfo *info)
{
	int			nkeys = info->ii_NumIndexKeyAttrs;

	if (index->rd_rel->relam != BTREE_AM_OID || nkeys > SORTED_INDEX_KEYS ||
		info->ii_NumIndexAttrs != nkeys || info->ii_Predicate != NIL ||
		info->ii_ExclusionOps != NULL || !info->ii_ReadyForInserts ||
		!index->rd_index->indimmediate)
		return false;
	for (int i = 0; i < nkeys; i++)
	{
		AttrNumber	column = info->ii_IndexAttrNumbers[i];

		if (column <= 0 || index->rd_indoption[i] != 0 ||
			index->rd_opfamily[i] != INTEGER_BTREE_FAM_OID ||
			index->rd_opcintype[i] != INT8OID ||
			!TupleDescAttr(RelationGetDescr(heap), column - 1)->attnotnull)
			return false;
	}
	return true;
}

/* The key of an item, which is aligned as the item is. */
static inline int64 *
item_key(IndexTuple item)
{
	return (int64 *) ((char *) item + IndexInfoFindDataOffset(item->t_info));
}

static inline IndexTuple
item_at(Page page, OffsetNumber offset)
{
	return (IndexTuple) PageGetItem(page, PageGetItemId(page, offset));
}

/*
 * How many of the entries certainly belong to the leaf to which the first one
 * does, and have room there.
 */
static int
count_fitting(Relation index, Page page, Size item_size,
			  const IndexEntry *entries, int n)
{
	int			room = PageGetExactFreeSpace(page) / (item_size + sizeof(ItemIdData));
	int			fitting = 0;
	IndexTuple	high;
	int			high_keys;

	n = Min(n, room);
	if (P_RIGHTMOST(BTPageGetOpaque(page)))
		return n;
	high = item_at(page, P_HIKEY);
	high_keys = BTreeTupleGetNAtts(high, index);
	while (fitting < n &&
		   compare_keys(entries[fitting].key, item_key(high), high_keys) < 0)
		fitting++;
	return fitting;
}

/*
 * Where the key goes on the page, from `low` on; 0 where it is there already.
 */
static OffsetNumber
place_of(Page page, OffsetNumber low, const int64 *key, int nkeys)
{
	OffsetNumber high = OffsetNumberNext(PageGetMaxOffsetNumber(page));

	while (low < high)
	{
		OffsetNumber middle = low + (high - low) / 2;
		int			order = compare_keys(key, item_key(item_at(page, middle)), nkeys);

		if (order == 0)
			return InvalidOffsetNumber;
		if (order > 0)
			low = OffsetNumberNext(middle);
		else
			high = middle;
	}
	return low;
}

/*
 * Put the first entries, as many as belong there, onto one leaf.  Returns how
 * many; 0 if it is not worth while.  `item` has the form of an item.
 */
static int
fill_leaf(Relation index, BTScanInsert scankey, IndexTuple item,
		  const IndexEntry *entries, int n)
{
	int			nkeys = scankey->keysz;
	Size		size = IndexTupleSize(item);
	Buffer		buffer;
	Page		page;
	GenericXLogState *change;
	OffsetNumber offset;
	int			fitting;
	int			done;

	for (int i = 0; i < nkeys; i++)
		scankey->scankeys[i].sk_argument = Int64GetDatum(entries[0].key[i]);
	_bt_freestack(_bt_search(index, scankey, &buffer, BT_WRITE, NULL));
	page = BufferGetPage(buffer);
	fitting = count_fitting(index, page, size, entries, n);
	if (fitting < MIN_RUN)
	{
		_bt_relbuf(index, buffer);
		return 0;
	}
	CheckForSerializableConflictIn(index, NULL, BufferGetBlockNumber(buffer));

	change = GenericXLogStart(index);
	page = GenericXLogRegisterBuffer(change, buffer, 0);
	offset = P_FIRSTDATAKEY(BTPageGetOpaque(page));
	for (done = 0; done < fitting; done++)
	{
		offset = place_of(page, offset, entries[done].key, nkeys);
		if (offset == InvalidOffsetNumber)
			break;
		memcpy(item_key(item), entries[done].key, nkeys * sizeof(int64));
		item->t_tid = entries[done].tid;
		if (PageAddItem(page, (Item) item, size, offset, false, false) != offset)
			ereport(ERROR,
					(errcode(ERRCODE_INDEX_CORRUPTED),
					 errmsg("index \"%s\" has a page that contradicts itself",
							RelationGetRelationName(index)),
					 errhint("Please REINDEX it.")));
	}
	if (done > 0)
		GenericXLogFinish(change);
	else
		GenericXLogAbort(change);
	_bt_relbuf(index, buffer);
	return done;
}

static void
insert_single(Relation heap, Relation index, IndexInfo *info, IndexEntry *entry)
{
	Datum		values[SORTED_INDEX_KEYS];
	bool		isnull[SORTED_INDEX_KEYS] = {false};

	for (int i = 0; i < SORTED_INDEX_KEYS; i++)
		values[i] = Int64GetDatum(entry->key[i]);
	index_insert(index, values, isnull, &entry->tid, heap,
				 index->rd_index->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO,
				 false, info);
}

/*
 * Insert the entries, of rows that are in the heap, into an index of which
 * index_takes_sorted() is true; they are sorted for that.  Raises 23505.
 */
void
index_insert_sorted(Relation heap, Relation index, IndexInfo *info,
					IndexEntry *entries, int n)
{
	Datum		values[SORTED_INDEX_KEYS] = {0};
	bool		isnull[SORTED_INDEX_KEYS] = {false};
	IndexTuple	item = index_form_tuple(RelationGetDescr(index), values, isnull);
	BTScanInsert scankey = _bt_mkscankey(index, item);
	int			nsingle = scankey->heapkeyspace ? 0 : n;	/* upgraded from 11 */
	int			max_single = 1;
	int			done = 0;

	/*
	 * Without a TID to go by, the descent ends at the first leaf to which the
	 * key may belong, where all who insert it meet.
	 */
	scankey->scantid = NULL;
	sort_entries(entries, n);
	while (done < n)
	{
		CHECK_FOR_INTERRUPTS();
		if (nsingle == 0)
		{
			int			filled = fill_leaf(index, scankey, item, &entries[done], n - done);
			done += filled;
			nsingle = filled > 0 ? 0 : max_single;
			max_single = filled > 0 ? 1 : Min(2 * max_single, MAX_SINGLE);
			continue;
		}
		insert_single(heap, index, info, &entries[done++]);
		nsingle--;
	}
	pfree(scankey);
	pfree(item);
}

/*
 * The first item from `low` on that is not below the key.  Sorted keys find
 * theirs close by, so the steps begin small.
 */
static OffsetNumber
first_not_below(Relation index, BTScanInsert scankey, Page page, OffsetNumber low)
{
	OffsetNumber high = OffsetNumberNext(PageGetMaxOffsetNumber(page));
	int			step = 1;

	for (OffsetNumber probe = low; probe < high; probe = low + step - 1, step *= 2)
	{
		if (_bt_compare(index, scankey, page, probe) <= 0)
		{
			high = probe;
			break;
		}
		low = OffsetNumberNext(probe);
	}
	while (low < high)
	{
		OffsetNumber middle = low + (high - low) / 2;

		if (_bt_compare(index, scankey, page, middle) > 0)
			low = OffsetNumberNext(middle);
		else
			high = middle;
	}
	return low;
}

/*
 * What the leaf to which the key belongs says of it; `offset` is the first item
 * that is not below the key.
 */
static IndexFind
find_of(Relation index, BTScanInsert scankey, Page page, OffsetNumber offset)
{
	IndexFind	find = {.absent = false};
	IndexTuple	item;

	ItemPointerSetInvalid(&find.tid);
	if (offset > PageGetMaxOffsetNumber(page))
	{
		/* A key that begins as the high key may go on with the next leaf. */
		find.absent = P_RIGHTMOST(BTPageGetOpaque(page)) ||
			_bt_compare(index, scankey, page, P_HIKEY) < 0;
		return find;
	}
	item = item_at(page, offset);
	if (_bt_compare(index, scankey, page, offset) < 0)
		find.absent = true;
	else if (!ItemIdIsDead(PageGetItemId(page, offset)) && !BTreeTupleIsPosting(item))
		find.tid = item->t_tid;
	return find;
}

/*
 * Find n keys of nkeys leading columns in a B-tree; key_of() gives the ith, in
 * the order of the index.  A TID is a hint, for what it leads to may be dead, and
 * once the leaf is let go even another row: the caller looks.
 */
void
index_find_sorted(Relation index, int nkeys, int n,
				  void (*key_of) (const void *state, int i, Datum *key),
				  const void *state, IndexFind *finds)
{
	BTScanInsert scankey = _bt_mkscankey(index, NULL);
	Datum		key[INDEX_MAX_KEYS];
	int			done = 0;

	scankey->keysz = nkeys;
	for (int i = 0; i < nkeys; i++)
		scankey->scankeys[i].sk_flags &= ~SK_ISNULL;
	scankey->anynullkeys = false;

	while (done < n)
	{
		Buffer		buffer = InvalidBuffer;
		Page		page = NULL;
		OffsetNumber offset = InvalidOffsetNumber;

		CHECK_FOR_INTERRUPTS();
		for (; done < n; done++)
		{
			key_of(state, done, key);
			for (int i = 0; i < nkeys; i++)
				scankey->scankeys[i].sk_argument = key[i];
			if (!page)
			{
				_bt_freestack(_bt_search(index, scankey, &buffer, BT_READ, NULL));
				if (!BufferIsValid(buffer))
					break;		/* an index without a page */
				page = BufferGetPage(buffer);
				offset = P_FIRSTDATAKEY(BTPageGetOpaque(page));
			}
			else if (!P_RIGHTMOST(BTPageGetOpaque(page)) &&
					 _bt_compare(index, scankey, page, P_HIKEY) > 0)
				break;
			offset = first_not_below(index, scankey, page, offset);
			finds[done] = find_of(index, scankey, page, offset);
		}
		if (!BufferIsValid(buffer))
		{
			for (; done < n; done++)
				finds[done].absent = true;
			break;
		}
		_bt_relbuf(index, buffer);
	}
	pfree(scankey);
}
