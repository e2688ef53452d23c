/*
 * program_cache.h
 *	  Configuration of the programs, kept per session.
 */
#ifndef REFERRAL_PROGRAM_CACHE_H
#define REFERRAL_PROGRAM_CACHE_H

#include "tables.h"

#include "pgtime.h"

typedef struct Tier
{
	int32		tier;
	int64		min_paid_invitees;
	char	   *label;
} Tier;

typedef struct Rate
{
	int64		campaign_id;	/* 0 = every */
	int32		tier;			/* 0 = every */
	int32		level;
	int32		rate_bps;
	int32		max_payments;	/* 0 = every payment */
	int64		flat_micro;
} Rate;

#define NO_LIMIT	(-1)		/* limits are not negative */

typedef struct Campaign
{
	int64		campaign_id;
	int64		referrer_monthly_cap;	/* NO_LIMIT = the program's */
	int64		budget_micro;	/* or NO_LIMIT */
} Campaign;

/* What a refund may take back, CONTRACT section 4. */
typedef enum DebtPolicy
{
	DEBT_UNLIMITED,
	DEBT_WITHIN_BALANCE,
	DEBT_ONLY_PENDING
} DebtPolicy;

typedef struct Program
{
	int64		program_id;
	pg_tz	   *zone;
	int32		hold_days;
	int32		max_level;
	int32		qualify_days;	/* 0 = never expires */
	int32		earning_days;	/* 0 = for ever */
	int64		referrer_monthly_cap;	/* or NO_LIMIT */
	DebtPolicy	debt_policy;
	bool		uses_grants;
	bool		auto_tier;
	bool		active;
	bool		keeps_events;
	bool		counts_payments;	/* a rate has max_payments */
	bool		rewards_payer;	/* there is a rate for level 0 */
	Tier	   *tiers;			/* rising */
	int			ntiers;
	Rate	   *rates;			/* by level, most specific first */
	int			nrates;
	int			rate_from[REFERRAL_MAX_LEVEL + 1];	/* first of its level */
	Campaign   *campaigns;		/* by campaign_id */
	int			ncampaigns;
} Program;

extern void program_cache_init(void);
extern void program_cache_begin(void);
extern const Program *program_find(Books *books, int64 program_id);
extern const Program *program_for_reading(Books *books, int64 program_id);
extern const Campaign *program_campaign(const Program *program,
										int64 campaign_id);
extern int32 program_tier(const Program *program, int32 stored_tier,
						  int64 paid_invitees);
extern bool program_tier_can_rise(const Program *program, int32 stored_tier,
								  int64 invitees);
extern const Rate *program_rate(const Program *program, int64 campaign_id,
								int32 tier, int32 level);
extern int128 program_most_rewards(const Program *program, int64 campaign_id,
								   int64 base_micro);

#endif							/* REFERRAL_PROGRAM_CACHE_H */
