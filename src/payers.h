/*
 * payers.h
 *	  Payers and their attributions: who referred them, what became of it.
 */
#ifndef REFERRAL_PAYERS_H
#define REFERRAL_PAYERS_H

#include "program_cache.h"

#include "utils/date.h"

typedef enum Decision
{
	DECISION_NONE,
	DECISION_REVIEW_REQUIRED,
	DECISION_REJECTED,
	DECISION_CAPPED
} Decision;

typedef struct Payer
{
	const Program *program;
	text	   *user_id;
	bool		attributed;		/* all below is valid only then */
	Decision	decision;
	bool		is_qualified;
	bool		is_rewarded;
	bool		to_lock;
	bool		changed;		/* to be written by payers_flush() */
	bool		wants_place;	/* counted by caps_reserve(), for the month of */
	DateADT		wants_month;
	int64		attribution_id;
	int64		member_id;
	int64		referrer_id;
	int64		code_id;
	int64		campaign_id;	/* 0 = none */
	int64		utm_key;		/* 0 = none */
	int64		first_payment_no;	/* valid if this run qualified him */
	TimestampTz attributed_at;
	TimestampTz qualified_at;	/* valid if is_qualified */
	TimestampTz rewarded_at;	/* valid if is_rewarded */
	int64		earning_payments;	/* before this run, or -1 = not asked for */
	int64		new_earning_payments;	/* of this run */
	struct Member *referrer;	/* once asked for */
	struct Credit *paid;		/* what this run added to his own sums */
	ItemPointerData tid;
} Payer;

typedef struct Payers Payers;

extern Payers *payers_begin(Books *books);
extern Payer *payer_find(Payers *payers, const Program *program, Datum user_id);
extern Payer *payer_note(Payers *payers, const Program *program, Datum user_id);
extern void payers_read(Payers *payers);
extern bool payer_counts(const Payer *payer, TimestampTz occurred_at);
extern void payer_want_lock(Payers *payers, Payer *payer);
extern bool payers_lock(Payers *payers);
extern void payer_change(Payers *payers, Payer *payer);
extern void payers_flush(Payers *payers);

#endif							/* REFERRAL_PAYERS_H */
