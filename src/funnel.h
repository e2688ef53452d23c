/*
 * funnel.h
 *	  How many attributions came how far, per day and campaign.
 */
#ifndef REFERRAL_FUNNEL_H
#define REFERRAL_FUNNEL_H

#include "counters.h"
#include "payers.h"

/* The values of table funnel, in the order of its columns. */
typedef enum FunnelStage
{
	FUNNEL_CLICKS,
	FUNNEL_ATTRIBUTED,
	FUNNEL_REVIEW_REQUIRED,
	FUNNEL_REJECTED,
	FUNNEL_QUALIFIED,
	FUNNEL_REWARDED,
	FUNNEL_GRANTED,
	FUNNEL_CAPPED,
	FUNNEL_STAGES
} FunnelStage;

extern void funnel_count(Books *books, Counters *counters, const Payer *payer,
						 FunnelStage stage);

#endif							/* REFERRAL_FUNNEL_H */
