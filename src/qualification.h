/*
 * qualification.h
 *	  The first earning payment: code caps, monthly caps, budgets.
 */
#ifndef REFERRAL_QUALIFICATION_H
#define REFERRAL_QUALIFICATION_H

#include "calendar.h"
#include "counters.h"
#include "payers.h"

typedef struct Caps Caps;

extern Caps *caps_begin(Books *books, Counters *counters);
extern void caps_want(Caps *caps, Payer *payer, DateADT month, int64 base_micro);
extern void caps_reserve(Caps *caps);
extern bool caps_qualify(Caps *caps, const Payer *payer, DateADT month);
extern bool caps_spend(Caps *caps, const Payer *payer, const int64 *amounts,
					   int namounts);
extern void caps_flush(Caps *caps);

#endif							/* REFERRAL_QUALIFICATION_H */
