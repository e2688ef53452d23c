/*
 * members.h
 *	  Beneficiaries: the line above a payer, and their tiers.
 */
#ifndef REFERRAL_MEMBERS_H
#define REFERRAL_MEMBERS_H

#include "counters.h"
#include "program_cache.h"

typedef struct Member
{
	const Program *program;
	int64		member_id;
	int64		referrer_id;	/* 0 = nobody */
	struct Member *referrer;	/* once asked for */
	int32		stored_tier;
	bool		tier_pinned;
	bool		suspended;
	int64		invitees;		/* at least as many as paid */
	bool		invitees_known;
	int64		paid_invitees;	/* valid if invitees_known */
	int64		new_invitees;	/* of this run */
	Credit	   *earned[REFERRAL_MAX_LEVEL + 1]; /* what this run added last */
	ItemPointerData tid;
} Member;

typedef struct Members Members;

extern Members *members_begin(Books *books);
extern Member *member_find(Members *members, const Program *program,
						   int64 member_id);
extern Member *member_referrer(Members *members, Member *member);
extern int32 member_tier(Members *members, Member *member);
extern void member_add_invitee(Members *members, Member *member);
extern void members_flush(Members *members);

#endif							/* REFERRAL_MEMBERS_H */
