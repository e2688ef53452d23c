/*
 * referral.h
 *	  Limits and names shared by every part of the engine.
 */
#ifndef REFERRAL_H
#define REFERRAL_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/date.h"

/* Levels 0 (the payer's own reward) to 10; program.max_level has this CHECK. */
#define REFERRAL_MAX_LEVEL	10

/* reward_id = payment_no * 16 + level */
#define REWARD_ID(payment_no, level)	((payment_no) * 16 + (level))

#define REWARD_PAYMENT_NO(reward_id)	((reward_id) / 16)

/* payment_no * 16 must fit into a bigint. */
#define PAYMENT_NO_MAX	((INT64CONST(1) << 59) - 1)

#endif							/* REFERRAL_H */
