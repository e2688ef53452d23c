/*
 * counters.c
 *	  Sums that many sessions add to at once without waiting for each other.
 *
 * A counter's value is the sum over the parts of its key.  A credit goes to
 * the first part that the session can see; if somebody holds that row, to the
 * session's own part; if that is held too, to a fresh part.  So no payment
 * waits for another because they share a referrer, nothing can deadlock, and
 * the number of rows stays near the number of sessions until maintenance
 * merges them.
 *
 * Part numbers come from one sequence, once per session; a fresh part is the
 * session's number shifted by 32 bits plus a count.  Nobody else ever writes
 * the same (key, part), so the unique check of the index never waits.
 *
 * A run first gathers its credits in memory (counters_add), then writes each
 * key once, in the order of the key (counters_flush).
 */
#include "counters.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/sequence.h"
#include "common/hashfn.h"
#include "common/int.h"
#include "miscadmin.h"
#include "money.h"
#include "utils/lsyscache.h"

struct Credit
{
	CounterKey	key;
	int64		value[COUNTER_MAX_VALUES];
};

typedef struct CreditEntry
{
	const CounterKey *key;		/* the credit's */
	Credit	   *credit;
	uint32		hash;
	char		status;
} CreditEntry;

static inline uint32
hash_key(const CounterKey *key)
{
	uint64		hash = 0;

	for (int i = 0; i < COUNTER_MAX_KEYS; i++)
		hash = hash_combine64(hash, (uint64) key->column[i] * UINT64CONST(0x9E3779B97F4A7C15));
	return (uint32) (hash ^ (hash >> 32));
}

static inline bool
equal_keys(const CounterKey *a, const CounterKey *b)
{
	return memcmp(a, b, sizeof(CounterKey)) == 0;
}

#define SH_PREFIX credits
#define SH_ELEMENT_TYPE CreditEntry
#define SH_KEY_TYPE const CounterKey *
#define SH_KEY key
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) (a)->hash
#define SH_HASH_KEY(tb, k) hash_key(k)
#define SH_EQUAL(tb, a, b) equal_keys(a, b)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct Counters
{
	Books	   *books;
	credits_hash *credits[TABLE_COUNT]; /* of the counter tables in use */
};

/*
 * Versions of one row that a transaction makes cannot be pruned before it
 * ends, and every further update walks them.  After this many a fresh part
 * takes over, which keeps long transactions linear; 64 made the last of 400,000
 * payments cost a third more than the first, 16 nothing that could be measured.
 */
#define MAX_UPDATES_OF_A_ROW	16

/*
 * A single credit from here on (a thousand million units of money) makes the
 * run look whether the member's sum on the level still fits into bigint.
 * Below it, it would take thousands of such credits to get there.
 */
#define LARGE_CREDIT	(INT64CONST(1) << 50)

/*
 * A version that its own transaction replaces costs the backend memory until
 * the transaction ends, once for each pair of command ids, its own and that of
 * its successor (combocid.c).  So after this many commands of a transaction the
 * engine writes its counters under a few ids again and again, and the memory of
 * a million payments is that of a thousand.  Nobody else is concerned; a cursor
 * of this very transaction, opened after so many commands, may read sums of
 * payments that it made later.
 */
#define EXACT_COMMANDS	1000

/* From so many credits to a table on its index is asked for all keys at once. */
#define MANY_CREDITS	64

/* Rows to be inserted are gathered up to this many. */
#define INSERT_BATCH	500

static int64 session_part = 0;
static Oid	session_part_from = InvalidOid; /* the sequence it was drawn from */
static int64 fresh_parts = 0;

static void
forget_at_prepare(XactEvent event, void *arg)
{
	/*
	 * A prepared transaction may hold rows of this session's part, which
	 * nobody sees yet: the next insert of the same key and part would wait for
	 * COMMIT PREPARED.
	 */
	if (event == XACT_EVENT_PREPARE)
		session_part = 0;
}

/*
 * Register what this module needs per session.  Called once, from _PG_init().
 */
void
counters_init(void)
{
	RegisterXactCallback(forget_at_prepare, NULL);
}

/*
 * Begin to gather credits; everything lives in the run's memory.
 */
Counters *
counters_begin(Books *books)
{
	Counters   *counters = MemoryContextAllocZero(books->context,
												  sizeof(Counters));

	counters->books = books;
	return counters;
}

static int
key_columns(const Table *table)
{
	return table->nkeys - 1;	/* the part is the last */
}

/*
 * How many value columns this library knows and the table has.  A table may
 * have more: a session that is open keeps its library while install() brings a
 * newer model; or fewer, before install() was called.
 */
static int
value_columns(const Table *table, TableId id)
{
	int			known = id == TABLE_EARNING ? EARNING_CLOSED + 1
		: id == TABLE_PAID ? PAID_EARNING_PAYMENTS + 1
		: id == TABLE_FUNNEL ? COUNTER_MAX_VALUES : 1;

	return Min(known, RelationGetDescr(table->rel)->natts - table->nkeys);
}

/*
 * What one member's sums must fit into, a campaign's, over many members, need
 * not: it stays at the largest bigint, for no budget is larger than that.
 */
static int64
plus(const Books *books, const Table *table, int64 a, int64 b)
{
	int64		sum;

	if (table != books->table[TABLE_CAMPAIGN_SPENT])
		return money_add(a, b);
	return pg_add_s64_overflow(a, b, &sum) ? PG_INT64_MAX : sum;
}

/* The run's credit to a key, which begins with 0. */
static Credit *
find_credit(Counters *counters, TableId table, const CounterKey *key)
{
	MemoryContext context = counters->books->context;
	CreditEntry *entry;
	bool		found;

	if (!counters->credits[table])
		counters->credits[table] = credits_create(context, 4, NULL);
	entry = credits_insert(counters->credits[table], key, &found);
	if (!found)
	{
		entry->credit = MemoryContextAllocZero(context, sizeof(Credit));
		entry->credit->key = *key;
		entry->key = &entry->credit->key;
	}
	return entry->credit;
}

/*
 * Credit `values`, one per value column of the counter table, to a key.  Raises
 * 22003 when the credits of this run alone leave the range of bigint.
 */
void
counters_add(Counters *counters, TableId table, const CounterKey *key,
			 const int64 *values)
{
	Credit	   *last = NULL;

	counters_add_again(counters, table, key, values, &last);
}

/*
 * The same for who often credits the same key: he keeps the credit to this table
 * that was his last, NULL at first, which saves looking for it.
 */
void
counters_add_again(Counters *counters, TableId table, const CounterKey *key,
				   const int64 *values, Credit **last)
{
	const Table *counter = books_table(counters->books, table);
	int			nvalues = value_columns(counter, table);
	int64	   *sum;

	if (!*last || !equal_keys(&(*last)->key, key))
		*last = find_credit(counters, table, key);
	sum = (*last)->value;
	for (int i = 0; i < nvalues; i++)
		sum[i] = plus(counters->books, counter, sum[i], values[i]);
}

/*
 * Return a column of a key as the table's type has it.
 */
Datum
counters_key_datum(const Table *table, int column, int64 value)
{
	switch (TupleDescAttr(RelationGetDescr(table->rel), column)->attlen)
	{
		case sizeof(int16):
			return Int16GetDatum((int16) value);
		case sizeof(int32):
			return Int32GetDatum((int32) value);
		default:
			return Int64GetDatum(value);
	}
}

/*
 * Return the sum of value number `value` over all parts whose key begins with
 * the first nkeys columns of `key`, as the run's snapshot sees them.  Raises
 * 22003 when it does not fit.
 */
int64
counters_sum(Books *books, TableId id, const CounterKey *key, int nkeys,
			 int value)
{
	Table	   *table = books_table(books, id);
	Datum		datum[TABLE_MAX_KEYS];
	int64		sum = 0;

	for (int i = 0; i < nkeys; i++)
		datum[i] = counters_key_datum(table, i, key->column[i]);
	for (bool found = table_find(books, table, nkeys, datum); found;
		 found = table_find_next(table, nkeys))
	{
		CHECK_FOR_INTERRUPTS();
		sum = plus(books, table, sum, row_int64(table, table->nkeys + value + 1));
	}
	return sum;
}

static int64
own_part(Books *books)
{
	Oid			sequence = get_relname_relid("part_seq", books->namespace);

	/* A data model made anew numbers its sessions anew. */
	if (session_part == 0 || session_part_from != sequence)
		session_part = nextval_internal(sequence, false);
	session_part_from = sequence;
	return session_part;
}

static int64
fresh_part(Books *books)
{
	return (own_part(books) << 32) | ++fresh_parts;
}

/* One table's share of counters_flush(). */
typedef struct Flush
{
	Books	   *books;
	Table	   *table;
	bool		is_exact;		/* what is written has the run's own command */
	int			nvalues;
	TupleTableSlot **slots;		/* rows to be inserted */
	int			nslots;
	int			slots_made;
} Flush;

/* Of a row that is not this transaction's. */
static CommandId
first_command(const Flush *flush)
{
	CommandId	command = flush->books->command;

	return flush->is_exact ? command : Min(command, EXACT_COMMANDS);
}

/* The command id under which the row in table->row is replaced. */
static CommandId
next_command(const Flush *flush)
{
	const Table *table = flush->table;
	HeapTupleHeader row = ((BufferHeapTupleTableSlot *) table->row)->base.tuple->t_data;

	if (!TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(row)))
		return first_command(flush);
	return Max(first_command(flush), HeapTupleHeaderGetCmin(row) + 1);
}

static void
insert_gathered(Flush *flush)
{
	Table	   *table = flush->table;

	if (flush->nslots == 0)
		return;
	table_insert_many(flush->books, table, flush->slots, flush->nslots,
					  first_command(flush), NULL);
	for (int i = 0; i < flush->nslots; i++)
	{
		TupleTableSlot *slot = flush->slots[i];

		table_remember_new(table, key_columns(table), slot)->updates = 0;
		ExecClearTuple(slot);
	}
	flush->nslots = 0;
}

static void
insert_part(Flush *flush, const Credit *entry, int64 part)
{
	Table	   *table = flush->table;
	TupleTableSlot *slot;
	int			column = 0;

	if (flush->nslots == INSERT_BATCH)
		insert_gathered(flush);
	if (flush->nslots == flush->slots_made)
		flush->slots[flush->slots_made++] = table_slot_create(table->rel, NULL);
	slot = flush->slots[flush->nslots++];

	ExecClearTuple(slot);
	for (int i = 0; i < key_columns(table); i++, column++)
		slot->tts_values[column] = counters_key_datum(table, column, entry->key.column[i]);
	slot->tts_values[column++] = Int64GetDatum(part);
	for (int i = 0; i < flush->nvalues; i++)
		slot->tts_values[column++] = Int64GetDatum(entry->value[i]);
	memset(slot->tts_isnull, false, column);
	for (; column < slot->tts_tupleDescriptor->natts; column++)
	{
		Form_pg_attribute unknown = TupleDescAttr(slot->tts_tupleDescriptor, column);

		slot->tts_values[column] = (Datum) 0;
		slot->tts_isnull[column] = !unknown->attnotnull || !unknown->attbyval;
	}
	ExecStoreVirtualTuple(slot);
}

/*
 * Add to the row in table->row, which is the next one to be tried for its key,
 * unless somebody else holds it.
 */
static bool
update_part(Flush *flush, const Credit *entry)
{
	Table	   *table = flush->table;

	table_begin_update(flush->books, table);
	for (int i = 0; i < flush->nvalues; i++)
	{
		AttrNumber	attnum = table->nkeys + i + 1;

		next_set(table, attnum,
				 Int64GetDatum(plus(flush->books, table,
									row_int64(table, attnum), entry->value[i])));
	}
	if (!table_update_at(flush->books, table, next_command(flush), false))
		return false;
	table_remember(table)->updates++;
	return true;
}

static bool
is_large(const Flush *flush, const Credit *entry)
{
	for (int i = 0; i < flush->nvalues; i++)
	{
		if (entry->value[i] >= LARGE_CREDIT)
			return true;
	}
	return false;
}

static bool
same_member(const Credit *a, const Credit *b)
{
	return a->key.column[0] == b->key.column[0] &&
		a->key.column[1] == b->key.column[1];
}

/*
 * Raise 22003 if the credits of this run take a sum of entry i's member out of
 * range: all rows of (program, member), of the same level in table earning.
 * Nothing of the run is written yet, so nothing counts twice.
 */
static void
check_sums(Flush *flush, Credit *const *entries, int n, int i)
{
	Table	   *table = flush->table;
	const Credit *entry = entries[i];
	int64		sum[COUNTER_MAX_VALUES] = {0};
	int			level = key_columns(table) - 1; /* 0-based; 1, the member,
												 * where there is none */
	Datum		key[2] = {Int64GetDatum(entry->key.column[0]),
	Int64GetDatum(entry->key.column[1])};
	int			j = i;

	while (j > 0 && same_member(entries[j - 1], entry))
		j--;
	for (; j < n && same_member(entries[j], entry); j++)
	{
		if (entries[j]->key.column[level] != entry->key.column[level])
			continue;
		for (int v = 0; v < flush->nvalues; v++)
			sum[v] = plus(flush->books, table, sum[v], entries[j]->value[v]);
	}
	for (bool found = table_find(flush->books, table, 2, key); found;
		 found = table_find_next(table, 2))
	{
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		if (row_datum(table, level + 1, &isnull) !=
			counters_key_datum(table, level, entry->key.column[level]))
			continue;
		for (int v = 0; v < flush->nvalues; v++)
			sum[v] = plus(flush->books, table, sum[v],
						  row_int64(table, table->nkeys + v + 1));
	}
}

/* The columns of a credit's key, without the part. */
static void
entry_key(const Table *table, const Credit *entry, Datum *key)
{
	for (int i = 0; i < key_columns(table); i++)
		key[i] = counters_key_datum(table, i, entry->key.column[i]);
}

/*
 * Write one key's credit, see the head of this file.  `told` is what the index
 * said of the key, if it was asked for many at once.
 */
static void
credit(Flush *flush, const Credit *entry, IndexFind *told)
{
	Books	   *books = flush->books;
	Table	   *table = flush->table;
	Datum		key[TABLE_MAX_KEYS];
	int			nkeys = key_columns(table);

	/*
	 * With a transaction-wide snapshot a row that changed since would have to
	 * fail (40001); a fresh part conflicts with nobody.
	 */
	if (books->append_only)
	{
		insert_part(flush, entry, fresh_part(books));
		return;
	}

	entry_key(table, entry, key);
	if (told ? !table_find_told(books, table, nkeys, key, told)
		: !table_find_any(books, table, nkeys, key))
	{
		insert_part(flush, entry, own_part(books));
		return;
	}
	if (table_remember(table)->updates >= MAX_UPDATES_OF_A_ROW)
	{
		insert_part(flush, entry, fresh_part(books));
		return;
	}
	if (update_part(flush, entry))
		return;

	key[nkeys] = Int64GetDatum(own_part(books));
	if (!table_find(books, table, nkeys + 1, key))
		insert_part(flush, entry, own_part(books));
	else if (!update_part(flush, entry))
		insert_part(flush, entry, fresh_part(books));
}

static int
compare_entries(const void *a, const void *b)
{
	const Credit *x = *(Credit *const *) a;
	const Credit *y = *(Credit *const *) b;

	for (int i = 0; i < COUNTER_MAX_KEYS; i++)
	{
		if (x->key.column[i] != y->key.column[i])
			return x->key.column[i] < y->key.column[i] ? -1 : 1;
	}
	return 0;
}

/* Credits on their way to a table, in the order of their keys. */
typedef struct SortedCredits
{
	const Table *table;
	Credit *const *entries;
} SortedCredits;

static void
key_of_credit(const void *state, int i, Datum *key)
{
	const SortedCredits *credits = state;

	entry_key(credits->table, credits->entries[i], key);
}

/* Ask the index for all keys at once; NULL if they are few, or not asked for. */
static IndexFind *
ask_index(Flush *flush, Credit **entries, int n)
{
	SortedCredits credits = {flush->table, entries};
	IndexFind  *told;

	if (n < MANY_CREDITS || flush->books->append_only)
		return NULL;
	told = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(IndexFind));
	memset(told, 0, n * sizeof(IndexFind));
	index_find_sorted(table_key(flush->table), key_columns(flush->table), n,
					  key_of_credit, &credits, told);
	return told;
}

static void
flush_begin(Flush *flush, Books *books, TableId id, uint32 nentries)
{
	memset(flush, 0, sizeof(Flush));
	flush->books = books;
	flush->table = books_table(books, id);
	flush->nvalues = value_columns(flush->table, id);
	flush->slots = palloc(Min(nentries, INSERT_BATCH) * sizeof(TupleTableSlot *));
}

static void
flush_end(Flush *flush)
{
	insert_gathered(flush);
	for (int i = 0; i < flush->slots_made; i++)
		ExecDropSingleTupleTableSlot(flush->slots[i]);
	pfree(flush->slots);
}

static void
flush_table(Books *books, TableId id, credits_hash *credits)
{
	Flush		flush;
	Credit	  **entries;
	CreditEntry *entry;
	credits_iterator iterator;
	IndexFind  *told;
	int			n = 0;

	flush_begin(&flush, books, id, credits->members);
	entries = MemoryContextAllocHuge(CurrentMemoryContext,
									 credits->members * sizeof(Credit *));
	credits_start_iterate(credits, &iterator);
	while ((entry = credits_iterate(credits, &iterator)) != NULL)
		entries[n++] = entry->credit;
	qsort(entries, n, sizeof(Credit *), compare_entries);
	told = ask_index(&flush, entries, n);

	/* Before anything is written, for the run may see that already. */
	for (int i = 0; i < n; i++)
	{
		if (is_large(&flush, entries[i]))
			check_sums(&flush, entries, n, i);
	}
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		credit(&flush, entries[i], told ? &told[i] : NULL);
	}
	flush_end(&flush);
}

/*
 * Write what was gathered.
 */
void
counters_flush(Counters *counters)
{
	MemoryContext old = MemoryContextSwitchTo(counters->books->context);

	for (int id = 0; id < TABLE_COUNT; id++)
	{
		if (counters->credits[id])
			flush_table(counters->books, id, counters->credits[id]);
	}
	MemoryContextSwitchTo(old);
}

/*
 * Write one key's credit at once.  The run sees it after books_refresh(), and
 * not before, however long the transaction is (EXACT_COMMANDS).
 */
void
counters_write(Books *books, TableId id, const CounterKey *key,
			   const int64 *values)
{
	MemoryContext old = MemoryContextSwitchTo(books->context);
	Credit		entry = {.key = *key};
	Flush		flush;

	flush_begin(&flush, books, id, 1);
	flush.is_exact = true;
	memcpy(entry.value, values, flush.nvalues * sizeof(int64));
	credit(&flush, &entry, NULL);
	flush_end(&flush);
	MemoryContextSwitchTo(old);
}
