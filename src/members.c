/*
 * members.c
 *	  Beneficiaries: the line above a payer, and their tiers.
 *
 * A run reads each member once.  The tier that picks a rate is derived, not
 * moved: the higher of what the member row says and of what his paid invitees
 * reach, so a promotion is never lost and nobody waits for it (CONTRACT
 * section 3.4, 3.5).  Who sees somebody stand higher than his row says writes
 * it there when the row is free, which spares the next reader the sum.
 */
#include "members.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

/* Column numbers of sql/model/020_member.sql. */
enum
{
	MEMBER_REFERRER_ID = 3,
	MEMBER_TIER = 4,
	MEMBER_TIER_PINNED = 5,
	MEMBER_SUSPENDED_AT = 6,
	MEMBER_INVITEES = 7
};

typedef struct MemberKey
{
	int64		program_id;
	int64		member_id;
} MemberKey;

typedef struct MemberEntry
{
	MemberKey	key;
	char		status;
	Member	   *member;
} MemberEntry;

#define SH_PREFIX known
#define SH_ELEMENT_TYPE MemberEntry
#define SH_KEY_TYPE MemberKey
#define SH_KEY key
#define SH_HASH_KEY(tb, k) murmurhash32((uint32) (k).member_id ^ (uint32) ((k).member_id >> 32) ^ (uint32) (k).program_id * 0x9E3779B1)
#define SH_EQUAL(tb, a, b) ((a).member_id == (b).member_id && (a).program_id == (b).program_id)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct Members
{
	Books	   *books;
	known_hash *known;
};

/*
 * Begin a run with no member read yet; everything lives in the run's memory.
 */
Members *
members_begin(Books *books)
{
	Members    *members = MemoryContextAlloc(books->context, sizeof(Members));

	members->books = books;
	members->known = known_create(books->context, 8, NULL);
	return members;
}

static Member *
read_member(Members *members, const Program *program, int64 member_id)
{
	Books	   *books = members->books;
	Table	   *table = books_table(books, TABLE_MEMBER);
	Datum		key[2] = {Int64GetDatum(program->program_id),
	Int64GetDatum(member_id)};
	Member	   *member;
	bool		isnull;

	if (!table_find_any(books, table, 2, key))
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("member of the books does not exist"),
				 errdetail("Program %lld has no member %lld.",
						   (long long) program->program_id,
						   (long long) member_id),
				 errhint("Run referral.verify().")));

	member = MemoryContextAllocZero(books->context, sizeof(Member));
	member->program = program;
	member->member_id = member_id;
	member->referrer_id = row_int64(table, MEMBER_REFERRER_ID);
	member->stored_tier = row_int32(table, MEMBER_TIER);
	member->tier_pinned = DatumGetBool(row_datum(table, MEMBER_TIER_PINNED, &isnull));
	member->suspended = !row_is_null(table, MEMBER_SUSPENDED_AT);
	member->invitees = row_is_null(table, MEMBER_INVITEES) ? PG_INT64_MAX
		: DatumGetInt16(row_datum(table, MEMBER_INVITEES, &isnull));
	member->tid = table->row->tts_tid;
	return member;
}

/*
 * Return a member that the books refer to; owned by the run.
 */
Member *
member_find(Members *members, const Program *program, int64 member_id)
{
	MemberKey	key = {program->program_id, member_id};
	MemberEntry *entry = known_lookup(members->known, key);
	bool		found;

	if (!entry)
	{
		Member	   *member = read_member(members, program, member_id);

		entry = known_insert(members->known, key, &found);
		entry->member = member;
	}
	return entry->member;
}

/*
 * Return who referred the member, or NULL.
 */
Member *
member_referrer(Members *members, Member *member)
{
	if (!member->referrer && member->referrer_id != 0)
		member->referrer = member_find(members, member->program,
									   member->referrer_id);
	return member->referrer;
}

static void
know_invitees(Members *members, Member *member)
{
	CounterKey	key = {{member->program->program_id, member->member_id}};

	if (member->invitees_known)
		return;
	member->paid_invitees = counters_sum(members->books, TABLE_INVITED, &key, 2, 0);
	member->invitees_known = true;
}

/*
 * Return the member's tier at this point of the run.
 */
int32
member_tier(Members *members, Member *member)
{
	if (member->tier_pinned)
		return member->stored_tier;
	if (program_tier_can_rise(member->program, member->stored_tier,
							  member->invitees))
		know_invitees(members, member);
	return program_tier(member->program, member->stored_tier,
						member->paid_invitees + member->new_invitees);
}

/*
 * Count an invitee who qualified in this run.
 */
void
member_add_invitee(Members *members, Member *member)
{
	if (program_tier_can_rise(member->program, member->stored_tier,
							  member->invitees))
		know_invitees(members, member);
	member->new_invitees++;
}

/*
 * Write risen tiers to the rows that nobody holds.
 */
void
members_flush(Members *members)
{
	Books	   *books = members->books;
	known_iterator iterator;
	MemberEntry *entry;

	if (books->append_only)
		return;

	known_start_iterate(members->known, &iterator);
	while ((entry = known_iterate(members->known, &iterator)) != NULL)
	{
		Member	   *member = entry->member;
		Table	   *table;
		int32		tier;

		if (!member->invitees_known || member->tier_pinned)
			continue;
		tier = member_tier(members, member);
		if (tier == member->stored_tier)
			continue;
		table = books_table(books, TABLE_MEMBER);
		if (!table_fetch(books, table, &member->tid))
			continue;
		table_begin_update(books, table);
		next_set(table, MEMBER_TIER, Int32GetDatum(tier));
		(void) table_update(books, table, false);
	}
}
