/*
 * open_rewards.c
 *	  A member's available rewards that are not used up, oldest first.
 *
 * A member may have a million rewards, nearly all of them used up, or a hundred
 * thousand open ones of which a spend needs the first.  Neither is read in
 * full:
 *
 * - account.open_from says below which reward_id everything was closed when
 *	 somebody looked last; the walk over index reward_member begins there;
 * - the counters say how many rewards are open on which local day, the one on
 *	 which they became available; the walk ends when the oldest days are found
 *	 complete and hold enough.
 *
 * A payment that was numbered early may have committed late, below open_from.
 * A day is then short of what the counters say, and the part of the index that
 * was left out is walked too.  Books that do not add up give what was found.
 *
 * Settlements come in step with the walk, in the order of their primary key, so
 * no reward is looked up on its own.
 */
#include "open_rewards.h"

#include "miscadmin.h"
#include "reversal.h"
#include "settlement_rows.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Column number of sql/model/030_payment.sql. */
#define PAYMENT_OCCURRED_AT		7

#define MEMBER_INDEX	"reward_member"

/* Rewards of one local day and level, by the day on which they were earned. */
#define EARNED_NEVER	DATEVAL_NOBEGIN
#define EARNED_ON_SEVERAL_DAYS	DATEVAL_NOEND

/* What the counters say of a local day on which rewards became available. */
typedef struct Day
{
	DateADT		day;
	DateADT		earned_on[REFERRAL_MAX_LEVEL + 1];	/* or as above */
	bool		has_reversals;
	int64		open;			/* how many rewards are not closed */
	int64		found;
	int128		held_micro;		/* by those found */
} Day;

struct OpenRewards
{
	Accounts   *accounts;
	Account    *account;
	TimestampTz now;

	Day		   *days;			/* rising */
	int64		ndays;
	int64		days_size;
	int64		ncomplete;		/* of the oldest days */
	int128		held_micro;		/* by those */

	OpenReward *found;			/* once sorted, the first nusable are in order */
	int64		nfound;
	int64		found_size;
	int64		nusable;
	int64		first;			/* of these that may have something left */

	TimestampTz last_at;		/* the instant looked up last, and its day */
	int64		last_day;

	bool		has_walked;
	int64		lowest_open;	/* of those passed over */
	int64		walked_to;		/* the first reward_id not walked */
};

/* The day among those that the counters know; -1: none. */
static int64
find_day(const OpenRewards *open, DateADT day)
{
	int64		low = 0;
	int64		high = open->ndays;

	while (low < high)
	{
		int64		middle = (low + high) / 2;

		if (open->days[middle].day < day)
			low = middle + 1;
		else
			high = middle;
	}
	return low < open->ndays && open->days[low].day == day ? low : -1;
}

/* The day of an instant; -1: none. */
static int64
day_of(OpenRewards *open, TimestampTz at)
{
	if (at != open->last_at)
	{
		open->last_day = find_day(open, calendar_day(at, open->account->program->zone));
		open->last_at = at;
	}
	return open->last_day;
}

/*
 * The day, made where there is none.  Counters come in the order of time, so
 * it is the last one but where clocks went back over midnight.
 */
static Day *
make_day(OpenRewards *open, DateADT date)
{
	int64		n = find_day(open, date);
	Day		   *day;

	if (n >= 0)
		return &open->days[n];
	open->days = accounts_grow(open->accounts, open->days, open->ndays,
							   &open->days_size, sizeof(Day));
	for (n = open->ndays++; n > 0 && open->days[n - 1].day > date; n--)
		open->days[n] = open->days[n - 1];
	day = &open->days[n];
	memset(day, 0, sizeof(Day));
	day->day = date;
	for (int level = 0; level <= REFERRAL_MAX_LEVEL; level++)
		day->earned_on[level] = EARNED_NEVER;
	return day;
}

static void
note_earned_on(Day *day, Table *table)
{
	bool		isnull;
	int			level = DatumGetInt16(row_datum(table, EARNING_COLUMN_LEVEL, &isnull));
	DateADT		earned_on = row_int32(table, EARNING_COLUMN_EARNED_ON);

	if (level < 0 || level > REFERRAL_MAX_LEVEL ||
		row_int64(table, EARNING_COLUMN_REWARDS) == 0)
		return;
	if (day->earned_on[level] == EARNED_NEVER)
		day->earned_on[level] = earned_on;
	else if (day->earned_on[level] != earned_on)
		day->earned_on[level] = EARNED_ON_SEVERAL_DAYS;
}

/* Read from the counters which days there are, and how many are open on each. */
static void
read_days(OpenRewards *open)
{
	Books	   *books = open->accounts->books;
	Table	   *table = books_table(books, TABLE_EARNING);
	const Program *program = open->account->program;
	Datum		key[2] = {Int64GetDatum(program->program_id),
	Int64GetDatum(open->account->member_id)};
	TimestampTz last = DT_NOBEGIN;
	Day		   *day = NULL;

	for (bool found = table_find(books, table, 2, key); found;
		 found = table_find_next(table, 2))
	{
		TimestampTz available_at = row_int64(table, EARNING_COLUMN_AVAILABLE_AT);

		CHECK_FOR_INTERRUPTS();
		if (available_at > open->now)
			break;
		if (!day || available_at != last)
			day = make_day(open, calendar_day(available_at, program->zone));
		last = available_at;
		day->open += row_int64(table, EARNING_COLUMN_REWARDS) -
			row_int64(table, EARNING_COLUMN_CLOSED);
		day->has_reversals |= row_int64(table, EARNING_COLUMN_REVERSED_MICRO) != 0;
		note_earned_on(day, table);
	}
}

/* Those that this run closed are not in the counters yet. */
static void
allow_for_touched(OpenRewards *open)
{
	for (TouchedReward *touched = open->account->touched; touched;
		 touched = touched->next)
	{
		TimestampTz counter_at = touched->reward.moment.counter_at;
		int64		n;

		if (counter_at > open->now)
			continue;
		n = day_of(open, counter_at);
		if (n >= 0)
			open->days[n].open += (touched->stored != CLOSING_NONE) -
				(touched_closing(touched) != CLOSING_NONE);
	}
}

/* Count the oldest days that are complete; returns whether they are enough. */
static bool
is_enough(OpenRewards *open, int128 need_micro)
{
	while (open->ncomplete < open->ndays && open->held_micro < need_micro)
	{
		const Day  *day = &open->days[open->ncomplete];

		if (day->found < day->open)
			return false;
		open->held_micro += day->held_micro;
		open->ncomplete++;
	}
	return true;
}

/*
 * How much of the reward was settled.  Rewards are asked for in rising order,
 * and the member's settlements read in step: *found says that the table's row
 * is one that was not counted yet.
 */
static int64
settled_of(Table *table, bool *found, int64 reward_id)
{
	int64		sum = 0;

	while (*found)
	{
		int64		of_reward = row_int64(table, SETTLEMENT_REWARD_ID);

		CHECK_FOR_INTERRUPTS();
		if (of_reward > reward_id)
			break;
		if (of_reward == reward_id)
			sum += row_int64(table, SETTLEMENT_AMOUNT_MICRO);
		*found = table_find_range_next(table);
	}
	return sum;
}

/* What is left of the reward in the table's row. */
static int64
left_of(OpenRewards *open, Table *table, const Day *day, bool *settlement_found,
		TouchedReward *touched)
{
	int64		reward_id = row_int64(table, REWARD_COLUMN_REWARD_ID);
	int64		amount = row_int64(table, REWARD_COLUMN_AMOUNT_MICRO);
	int64		reversed = 0;

	if (touched)
		return touched->reward.amount_micro - touched->reward.reversed_micro -
			touched->settled_micro;
	if (day->has_reversals)
		reversed = reversal_of(open->accounts->books,
							   open->account->program->program_id, reward_id,
							   amount, row_int64(table, REWARD_COLUMN_BASE_MICRO));
	return amount - reversed -
		settled_of(books_table(open->accounts->books, TABLE_SETTLEMENT),
				   settlement_found, reward_id);
}

/* Look at the reward in the table's row. */
static void
take_reward(OpenRewards *open, Table *table, bool *settlement_found)
{
	int64		reward_id = row_int64(table, REWARD_COLUMN_REWARD_ID);
	TimestampTz available_at = row_int64(table, REWARD_COLUMN_AVAILABLE_AT);
	TouchedReward *touched = NULL;
	OpenReward *reward;
	int64		left;
	int64		n;
	bool		isnull;

	if (available_at > open->now)
	{
		open->lowest_open = Min(open->lowest_open, reward_id);
		return;
	}
	n = day_of(open, available_at);
	if (n < 0 || open->days[n].found >= open->days[n].open)
		return;					/* all others of the day are closed */
	if (open->account->touched)
		touched = touched_find(open->accounts, open->account, reward_id);
	left = left_of(open, table, &open->days[n], settlement_found, touched);
	if (left <= 0)
		return;

	open->found = accounts_grow(open->accounts, open->found, open->nfound,
								&open->found_size, sizeof(OpenReward));
	reward = &open->found[open->nfound++];
	reward->reward_id = reward_id;
	reward->available_at = available_at;
	reward->left_micro = left;
	reward->touched = touched;
	reward->tid = table->row->tts_tid;
	reward->level = DatumGetInt16(row_datum(table, REWARD_COLUMN_LEVEL, &isnull));
	reward->day = n;
	open->days[n].found++;
	open->days[n].held_micro += left;
}

/*
 * Walk the member's rewards with reward_id from `from` to `to`; returns whether
 * enough was found.
 */
static bool
walk(OpenRewards *open, int64 from, int64 to, int128 need_micro)
{
	Books	   *books = open->accounts->books;
	Table	   *table = books_table(books, TABLE_REWARD);
	Datum		key[2] = {Int64GetDatum(open->account->program->program_id),
	Int64GetDatum(open->account->member_id)};
	bool		settlement_found =
	table_find_range(books, books_table(books, TABLE_SETTLEMENT), 2, key,
					 Max(from, 1), to);

	for (bool found = table_find_range_by(books, table, MEMBER_INDEX, 2, key, from, to);
		 found; found = table_find_range_next(table))
	{
		CHECK_FOR_INTERRUPTS();
		open->walked_to = Max(open->walked_to,
							  row_int64(table, REWARD_COLUMN_REWARD_ID) + 1);
		take_reward(open, table, &settlement_found);
		if (is_enough(open, need_micro))
			return true;
	}
	return false;
}

static int
compare_rewards(const void *a, const void *b)
{
	const OpenReward *x = a;
	const OpenReward *y = b;

	if (x->available_at != y->available_at)
		return x->available_at < y->available_at ? -1 : 1;
	return (x->reward_id > y->reward_id) - (x->reward_id < y->reward_id);
}

/* Put those of the first ndays days in front, in order. */
static void
sort_usable(OpenRewards *open, int64 ndays)
{
	for (int64 i = 0; i < open->nfound; i++)
	{
		OpenReward	reward = open->found[i];

		if (reward.day >= ndays)
			continue;
		open->found[i] = open->found[open->nusable];
		open->found[open->nusable++] = reward;
	}
	qsort(open->found, open->nusable, sizeof(OpenReward), compare_rewards);
}

/*
 * Find the oldest of the member's available rewards that hold need_micro
 * together, or all of them.  His account is locked; the caller ends with
 * open_rewards_end().
 *
 * `now` is the clock, not the statement's start: no counter that the run sees
 * was written later than that, so a reward is available here exactly where the
 * counters say so.
 */
OpenRewards *
open_rewards_find(Accounts *accounts, Account *account, int128 need_micro)
{
	OpenRewards *open = MemoryContextAllocZero(accounts->books->context,
											   sizeof(OpenRewards));
	bool		enough;

	open->accounts = accounts;
	open->account = account;
	open->now = GetCurrentTimestamp();
	open->lowest_open = PG_INT64_MAX;
	open->walked_to = account->open_from;
	open->last_at = DT_NOBEGIN;
	open->last_day = -1;

	read_days(open);
	if (account->touched)
		allow_for_touched(open);
	if (is_enough(open, need_micro))
		return open;			/* nothing is open */

	open->has_walked = true;
	enough = walk(open, account->open_from, PG_INT64_MAX, need_micro);
	if (!enough && account->open_from > 0)
		enough = walk(open, 0, account->open_from - 1, need_micro);
	if (open->nfound > 0)
		sort_usable(open, enough ? open->ncomplete : open->ndays);
	return open;
}

/*
 * Return the oldest reward of which something is left, or NULL.
 */
OpenReward *
open_rewards_first(OpenRewards *open)
{
	while (open->first < open->nusable && open->found[open->first].left_micro == 0)
		open->first++;
	return open->first < open->nusable ? &open->found[open->first] : NULL;
}

/*
 * Return where the counters keep the reward in the row of table reward: by what
 * its payment says.
 */
Moment
reward_moment(Books *books, const Program *program, Table *table)
{
	Table	   *payments = books_table(books, TABLE_PAYMENT);
	TimestampTz available_at = row_int64(table, REWARD_COLUMN_AVAILABLE_AT);
	TimestampTz occurred_at = available_at;
	Datum		key[2] = {Int64GetDatum(program->program_id)};
	bool		isnull;

	key[1] = row_datum(table, REWARD_COLUMN_PAYMENT_ID, &isnull);
	if (table_find(books, payments, 2, key))
		occurred_at = row_int64(payments, PAYMENT_OCCURRED_AT);
	return calendar_moment_of_reward(occurred_at, available_at, program->zone,
									 books->now);
}

/*
 * Return where the counters keep the reward.  Nearly always its day and level
 * have rewards of one day only, and its payment need not be asked.
 */
Moment
open_reward_moment(OpenRewards *open, const OpenReward *reward)
{
	Books	   *books = open->accounts->books;
	const Program *program = open->account->program;
	Table	   *table = books_table(books, TABLE_REWARD);
	const Day  *day = &open->days[reward->day];
	DateADT		earned_on = reward->level >= 0 && reward->level <= REFERRAL_MAX_LEVEL
		? day->earned_on[reward->level] : EARNED_ON_SEVERAL_DAYS;
	Moment		moment = {.available_at = reward->available_at,
	.counter_at = reward->available_at, .day = earned_on};

	if (earned_on == EARNED_NEVER || earned_on == EARNED_ON_SEVERAL_DAYS)
		return table_fetch(books, table, (ItemPointer) &reward->tid)
			? reward_moment(books, program, table) : moment;
	if (earned_on == day->day)	/* without a hold */
		return calendar_moment(reward->available_at, program->zone, 0, books->now);
	return moment;
}

/*
 * Note in the account below which reward_id everything is closed, as far as
 * seen, and give the memory back.
 */
void
open_rewards_end(OpenRewards *open)
{
	int64		open_from = Min(open->walked_to, open->lowest_open);

	for (int64 i = 0; i < open->nfound; i++)
	{
		if (open->found[i].left_micro > 0)
			open_from = Min(open_from, open->found[i].reward_id);
	}
	if (open->has_walked && open_from != open->account->open_from)
	{
		open->account->open_from = open_from;
		open->account->is_changed = true;
	}
	if (open->found)
		pfree(open->found);
	if (open->days)
		pfree(open->days);
	pfree(open);
}
