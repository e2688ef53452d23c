/*
 * overview.c
 *	  What a member reads first and most often: his standing, and his levels.
 *
 * Each of these is a dozen rows of eight tables and the member's counters, one
 * for each day and level on which he earned something.  The executor takes longer
 * to set up a statement over all these than it takes to read them here.
 */
#include "account.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "counters.h"
#include "fmgr.h"
#include "funcapi.h"
#include "money.h"
#include "program_cache.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

/* Column numbers of sql/model/020_member.sql. */
enum
{
	MEMBER_MEMBER_ID = 2,
	MEMBER_REFERRER_ID = 3,
	MEMBER_TIER = 4,
	MEMBER_TIER_PINNED = 5,
	MEMBER_INVITEES = 7,
	MEMBER_DISPLAY_NAME = 9,
	MEMBER_IMAGE_URL = 10,

	CODE_CODE = 4,

	DOWNLINE_LEVEL = 3,
	DOWNLINE_MEMBERS = 5
};

/* A member as the query sees him. */
typedef struct Reader
{
	Books	   *books;
	Datum		key[2];			/* of what is kept per member */
	int64		program_id;
	const Program *program;
	int64		referrer_id;	/* 0 = nobody */
	int32		stored_tier;
	bool		tier_pinned;
	int64		invitees;		/* at least as many as paid */
} Reader;

/* Sums of his counters on one level; net of reversals. */
typedef struct Earned
{
	int128		pending_micro;
	int128		net_micro;
	int128		volume_micro;
	int128		deposits_micro;
} Earned;

typedef struct Balance
{
	int128		pending_micro;
	int128		available_micro;
	int128		lifetime_micro;
} Balance;

static Reader
begin_reading(FunctionCallInfo fcinfo, int64 program_id)
{
	Reader		reader = {.program_id = program_id};

	reader.books = books_read(get_func_namespace(fcinfo->flinfo->fn_oid));
	reader.key[0] = Int64GetDatum(program_id);
	return reader;
}

/*
 * Find the member and his program; false when there is none.  Who has an old
 * snapshot may see a member whose program is gone.
 */
static bool
find_reader(Reader *reader, Datum user_id)
{
	Table	   *table = books_table(reader->books, TABLE_MEMBER);
	Datum		key[2] = {reader->key[0], user_id};
	bool		isnull;

	if (!table_find_by(reader->books, table, "member_program_id_user_id_key", 2, key))
		return false;
	reader->key[1] = row_datum(table, MEMBER_MEMBER_ID, &isnull);
	reader->referrer_id = row_int64(table, MEMBER_REFERRER_ID);
	reader->stored_tier = row_int32(table, MEMBER_TIER);
	reader->tier_pinned = DatumGetBool(row_datum(table, MEMBER_TIER_PINNED, &isnull));
	reader->invitees = row_is_null(table, MEMBER_INVITEES) ? PG_INT64_MAX
		: DatumGetInt16(row_datum(table, MEMBER_INVITEES, &isnull));
	reader->program = program_for_reading(reader->books, reader->program_id);
	return reader->program != NULL;
}

static int64
paid_invitees(const Reader *reader)
{
	CounterKey	key = {{reader->program_id, DatumGetInt64(reader->key[1])}};

	return counters_sum(reader->books, TABLE_INVITED, &key, 2, 0);
}

/* As referral.effective_tier(). */
static int32
tier_of(const Reader *reader, int64 paid_invitees)
{
	return reader->tier_pinned ? reader->stored_tier
		: program_tier(reader->program, reader->stored_tier, paid_invitees);
}

static Datum
label_of(const Program *program, int32 tier, bool *isnull)
{
	for (int i = 0; i < program->ntiers; i++)
	{
		if (program->tiers[i].tier == tier)
			return CStringGetTextDatum(program->tiers[i].label);
	}
	*isnull = true;
	return (Datum) 0;
}

/* Of a level at a tier, outside campaigns; 0 where there is none. */
static int32
rate_bps(const Program *program, int32 tier, int32 level)
{
	const Rate *rate = program_rate(program, 0, tier, level);

	return rate ? rate->rate_bps : 0;
}

/*
 * A row of sql/model/040_counter.sql as it is stored: none of its columns is NULL
 * or of variable width.  Those of later steps, which are missing in rows from
 * before them, are 0 there.
 */
typedef struct EarningRow
{
	int64		program_id;
	int64		member_id;
	TimestampTz available_at;
	DateADT		earned_on;
	int16		level;
	int64		part;
	int64		amount_micro;
	int64		volume_micro;
	int64		deposits_micro;
	int64		rewards;
	int64		reversed_micro; /* 060_refund.sql */
} EarningRow;

typedef struct EarnedSum
{
	Earned	   *levels;
	TimestampTz now;
} EarnedSum;

static void
add_earned(const void *row, int ncolumns, void *state)
{
	EarnedSum  *sum = state;
	const EarningRow *earning = row;
	Earned	   *level = &sum->levels[earning->level];
	int64		net = earning->amount_micro;

	if (ncolumns >= EARNING_COLUMN_REVERSED_MICRO)
		net -= earning->reversed_micro;
	level->net_micro += net;
	if (earning->available_at > sum->now)
		level->pending_micro += net;
	level->volume_micro += earning->volume_micro;
	level->deposits_micro += earning->deposits_micro;
}

/* Add up the member's counters, by level. */
static void
sum_earned(const Reader *reader, Earned *levels)
{
	EarnedSum	sum = {levels, GetCurrentStatementStartTimestamp()};

	table_each(reader->books, books_table(reader->books, TABLE_EARNING), 2,
			   reader->key, add_earned, &sum);
}

/* The one place that says what a balance is. */
static Balance
balance_of(const Reader *reader)
{
	Table	   *account = books_table(reader->books, TABLE_ACCOUNT);
	Earned		levels[REFERRAL_MAX_LEVEL + 1] = {0};
	Balance		balance = {0};

	sum_earned(reader, levels);
	for (int level = 0; level <= REFERRAL_MAX_LEVEL; level++)
	{
		balance.pending_micro += levels[level].pending_micro;
		balance.lifetime_micro += levels[level].net_micro;
	}
	balance.available_micro = -balance.pending_micro;
	if (table_find(reader->books, account, 2, reader->key))
	{
		balance.lifetime_micro += row_int64(account, ACCOUNT_ADJUSTED_MICRO);
		balance.available_micro -= row_int64(account, ACCOUNT_SPENT_MICRO);
		balance.available_micro -= row_int64(account, ACCOUNT_PAID_OUT_MICRO);
		balance.available_micro -= row_int64(account, ACCOUNT_RESERVED_MICRO);
	}
	balance.available_micro += balance.lifetime_micro;
	return balance;
}

static Datum
numeric_of(int128 sum)
{
	const int64 unit = INT64CONST(1000000000000000000);
	Numeric		high;

	if (sum >= PG_INT64_MIN && sum <= PG_INT64_MAX)
		return NumericGetDatum(int64_to_numeric((int64) sum));
	high = numeric_mul_opt_error(int64_to_numeric((int64) (sum / unit)),
								 int64_to_numeric(unit), NULL);
	return NumericGetDatum(numeric_add_opt_error(high,
												 int64_to_numeric((int64) (sum % unit)),
												 NULL));
}

/* As a value of the composite type. */
static Datum
balance_datum(const Balance *balance, Oid type)
{
	TupleDesc	desc = lookup_rowtype_tupdesc(type, -1);
	Datum		values[3] = {numeric_of(balance->pending_micro),
		numeric_of(balance->available_micro),
	numeric_of(balance->lifetime_micro)};
	bool		nulls[3] = {false};
	Datum		result = HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));

	ReleaseTupleDesc(desc);
	return result;
}

/* The code that an index of codes in use, one per member, finds. */
static Datum
code_of(const Reader *reader, Datum user_id, const char *index, bool *isnull)
{
	Table	   *table = books_table(reader->books, TABLE_CODE);
	Datum		key[2] = {reader->key[0], user_id};

	*isnull = !table_find_by(reader->books, table, index, 2, key);
	return *isnull ? (Datum) 0 : row_text(reader->books, table, CODE_CODE, isnull);
}

/* A text of who referred him. */
static Datum
inviter_text(const Reader *reader, AttrNumber attnum, bool *isnull)
{
	Table	   *table = books_table(reader->books, TABLE_MEMBER);
	Datum		key[2] = {reader->key[0], Int64GetDatum(reader->referrer_id)};

	*isnull = reader->referrer_id == 0 || !table_find_any(reader->books, table, 2, key);
	return *isnull ? (Datum) 0 : row_text(reader->books, table, attnum, isnull);
}

PG_FUNCTION_INFO_V1(referral_balance_of);

/*
 * balance_of(program_id, member_id)
 */
Datum
referral_balance_of(PG_FUNCTION_ARGS)
{
	Reader		reader = begin_reading(fcinfo, PG_GETARG_INT64(0));
	Balance		balance;

	reader.key[1] = PG_GETARG_DATUM(1);
	balance = balance_of(&reader);
	books_close(reader.books);
	PG_RETURN_DATUM(balance_datum(&balance, get_fn_expr_rettype(fcinfo->flinfo)));
}

PG_FUNCTION_INFO_V1(referral_overview);

/*
 * referral_overview(user_id, program_id)
 */
Datum
referral_overview(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		user_id = PG_GETARG_DATUM(0);
	Reader		reader = begin_reading(fcinfo, PG_GETARG_INT64(1));

	InitMaterializedSRF(fcinfo, 0);
	if (find_reader(&reader, user_id))
	{
		int64		paid = paid_invitees(&reader);
		int32		tier = tier_of(&reader, paid);
		Balance		balance = balance_of(&reader);
		Datum		values[8];
		bool		nulls[8] = {false};

		values[0] = code_of(&reader, user_id, "code_one_uid", &nulls[0]);
		values[1] = code_of(&reader, user_id, "code_one_slug", &nulls[1]);
		values[2] = Int32GetDatum(tier);
		values[3] = label_of(reader.program, tier, &nulls[3]);
		values[4] = Int32GetDatum(rate_bps(reader.program, tier, 1));
		values[5] = Int64GetDatum(paid);
		values[6] = balance_datum(&balance, TupleDescAttr(result->setDesc, 6)->atttypid);
		values[7] = inviter_text(&reader, MEMBER_DISPLAY_NAME, &nulls[7]);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	books_close(reader.books);
	return (Datum) 0;
}

/* What a level shows; all 0 below the program's last. */
typedef struct Level
{
	int64		members;
	int64		volume_micro;
	int64		deposits_micro;
	int64		earnings_micro;
	int32		rate_bps;
} Level;

/* Levels 1 to REFERRAL_MAX_LEVEL, in levels[level]; returns the last that counts. */
static int32
read_levels(const Reader *reader, Level *levels)
{
	const Program *program = reader->program;
	Table	   *below = books_table(reader->books, TABLE_DOWNLINE);
	bool		may_rise = program_tier_can_rise(program, reader->stored_tier, reader->invitees);
	int32		tier = tier_of(reader, may_rise ? paid_invitees(reader) : 0);
	Earned		earned[REFERRAL_MAX_LEVEL + 1] = {0};

	for (bool found = table_find(reader->books, below, 2, reader->key); found;
		 found = table_find_next(below, 2))
	{
		bool		isnull;
		Level	   *level = &levels[DatumGetInt16(row_datum(below, DOWNLINE_LEVEL, &isnull))];

		level->members = money_add(level->members, row_int64(below, DOWNLINE_MEMBERS));
	}
	sum_earned(reader, earned);
	for (int32 level = 1; level <= program->max_level; level++)
	{
		levels[level].volume_micro = money_narrow(earned[level].volume_micro);
		levels[level].deposits_micro = money_narrow(earned[level].deposits_micro);
		levels[level].earnings_micro = money_narrow(earned[level].net_micro);
		levels[level].rate_bps = rate_bps(program, tier, level);
	}
	for (int32 level = program->max_level + 1; level <= REFERRAL_MAX_LEVEL; level++)
		levels[level].members = 0;	/* counted, for when max_level grows */
	return program->max_level;
}

PG_FUNCTION_INFO_V1(referral_level_stats);

/*
 * level_stats(user_id, program_id)
 */
Datum
referral_level_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Reader		reader = begin_reading(fcinfo, PG_GETARG_INT64(1));

	InitMaterializedSRF(fcinfo, 0);
	if (find_reader(&reader, PG_GETARG_DATUM(0)))
	{
		Level		levels[REFERRAL_MAX_LEVEL + 1] = {0};
		int32		last = read_levels(&reader, levels);

		for (int32 level = 1; level <= last; level++)
		{
			const Level *shown = &levels[level];
			Datum		values[6] = {Int32GetDatum(level), Int64GetDatum(shown->members),
				Int64GetDatum(shown->volume_micro), Int64GetDatum(shown->deposits_micro),
			Int64GetDatum(shown->earnings_micro), Int32GetDatum(shown->rate_bps)};
			bool		nulls[6] = {false};

			tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		}
	}
	books_close(reader.books);
	return (Datum) 0;
}

/* Micro-units in whole units of unit_micro, rounded down. */
static int64
in_units(int128 micro, int64 unit_micro)
{
	return money_narrow(micro / unit_micro - (micro % unit_micro < 0 ? 1 : 0));
}

PG_FUNCTION_INFO_V1(referral_network);

/*
 * network(user_id, levels, unit_micro, program_id)
 */
Datum
referral_network(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		user_id = PG_GETARG_DATUM(0);
	int32		nlevels = Max(0, Min(PG_GETARG_INT32(1), REFERRAL_MAX_LEVEL));
	int64		unit_micro = Max(1, PG_GETARG_INT64(2));
	Reader		reader = begin_reading(fcinfo, PG_GETARG_INT64(3));

	InitMaterializedSRF(fcinfo, 0);
	if (find_reader(&reader, user_id))
	{
		Level		levels[REFERRAL_MAX_LEVEL + 1] = {0};
		Datum		column[4][REFERRAL_MAX_LEVEL];
		int128		sum[3] = {0};
		int128		deposits_micro = 0;
		Datum		values[12];
		bool		nulls[12] = {false};

		(void) read_levels(&reader, levels);
		for (int i = 0; i < nlevels; i++)
		{
			const Level *level = &levels[i + 1];
			int64		shown[4] = {level->members,
				in_units(level->volume_micro, unit_micro),
				in_units(level->earnings_micro, unit_micro),
			level->rate_bps};

			for (int c = 0; c < 4; c++)
				column[c][i] = Int64GetDatum(shown[c]);
			for (int c = 0; c < 3; c++)
				sum[c] += shown[c];
			deposits_micro += level->deposits_micro;
		}
		values[0] = code_of(&reader, user_id, "code_one_uid", &nulls[0]);
		values[1] = Int64GetDatum(reader.referrer_id);
		nulls[1] = reader.referrer_id == 0;
		values[2] = inviter_text(&reader, MEMBER_DISPLAY_NAME, &nulls[2]);
		values[3] = inviter_text(&reader, MEMBER_IMAGE_URL, &nulls[3]);
		for (int c = 0; c < 3; c++)
			values[4 + c] = Int64GetDatum(money_narrow(sum[c]));
		values[7] = Int64GetDatum(in_units(deposits_micro, unit_micro));
		for (int c = 0; c < 4; c++)
			values[8 + c] = PointerGetDatum(construct_array(column[c], nlevels, INT8OID,
															sizeof(int64), true,
															TYPALIGN_DOUBLE));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	books_close(reader.books);
	return (Datum) 0;
}
