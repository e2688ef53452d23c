/*
 * reversal.h
 *	  What refunds took from a reward.
 */
#ifndef REFERRAL_REVERSAL_H
#define REFERRAL_REVERSAL_H

#include "tables.h"

extern int64 reversal_refunded(Books *books, int64 program_id,
							   int64 payment_no);
extern int64 reversal_written_off(Books *books, int64 program_id,
								  int64 reward_id);
extern int64 reversal_of(Books *books, int64 program_id, int64 reward_id,
						 int64 amount_micro, int64 base_micro);

#endif							/* REFERRAL_REVERSAL_H */
